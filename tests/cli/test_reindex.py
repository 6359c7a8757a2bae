"""`fhir-server reindex`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command

Answer = Callable[..., Any]


def test_all_tenants_or_some(command: Command, answer: Answer, tmp_path: Path) -> None:
    for name in ("riverside", "lakeside"):
        command("tenant", "create", name)
    (tmp_path / "p.json").write_text('{"resourceType": "Patient", "id": "p1"}')
    command("load", "--tenant", "riverside", str(tmp_path / "p.json"))
    done = {each["tenant"]: each for each in answer("reindex")}
    # The events of the commands are indexed too.
    assert {name: (each["state"], each["total"]) for name, each in done.items()} == {
        "riverside": ("finished", 3),
        "lakeside": ("finished", 1),
    }
    (one,) = answer("reindex", "--tenant", "riverside", "--types", "Observation,Patient")
    assert (one["done"], one["percent"], one["error"]) == (1, 100, None)
    assert "riverside" in command("reindex", "--tenant", "riverside").stdout
    assert len(answer("reindex", "status")) == 4
    assert "Observation, Patient" in command("reindex", "status", "--tenant", "riverside").stdout


def test_what_is_not_there_is_said(command: Command) -> None:
    for words, reason in (
        ("--tenant nobody", "There is no tenant 'nobody'"),
        ("--types Foo", "'Foo' is not a resource"),
    ):
        result = command("reindex", *words.split())
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())
