"""`fhir-server tenant …`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.cli.conftest import Command

Answer = Callable[..., Any]


def test_a_tenant_from_birth_to_end(command: Command, answer: Answer) -> None:
    assert answer("tenant", "create", "riverside", "--title", "Riverside")["status"] == "active"
    assert [each["name"] for each in answer("tenant", "list")] == ["riverside"]
    assert answer("tenant", "show", "riverside")["title"] == "Riverside"
    assert answer("tenant", "suspend", "riverside")["status"] == "suspended"
    assert answer("tenant", "resume", "riverside")["status"] == "active"
    assert answer("tenant", "erase", "riverside", "--yes") == {"erased": "riverside"}
    assert answer("tenant", "list") == []


def test_a_person_reads_tables_and_sentences(command: Command) -> None:
    assert "/fhir/lakeside" in command("tenant", "create", "lakeside").stdout
    assert "lakeside" in command("tenant", "list").stdout
    assert "active" in command("tenant", "show", "lakeside").stdout
    assert "suspended" in command("tenant", "suspend", "lakeside").stdout


def test_a_name_is_taken_once_and_must_fit_a_url(command: Command) -> None:
    command("tenant", "create", "twice")
    for name, reason in (("twice", "already a tenant"), ("No Name", "no name for a tenant"), ("../x", "no name")):
        result = command("tenant", "create", name)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())


def test_what_is_not_there_is_said(command: Command) -> None:
    for action in ("show", "suspend", "resume"):
        result = command("tenant", action, "nobody")
        assert result.exit_code == 1
        assert "There is no tenant 'nobody'" in " ".join(result.stderr.split())


def test_nothing_is_erased_by_mistake(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "precious")
    assert command("tenant", "erase", "precious", input="precios\n").exit_code == 1
    assert command("tenant", "erase", "precious", "--json").exit_code == 1
    assert answer("tenant", "show", "precious")["status"] == "active"
    assert command("tenant", "erase", "precious", input="precious\n").exit_code == 0


def test_how_a_tenant_works_can_be_set(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "strict")
    assert answer("tenant", "show", "strict")["settings"]["versioning"] == "versioned"
    assert answer("tenant", "set", "strict", "versioning=versioned-update")["settings"] == {
        "references": "enforced",
        "versioning": "versioned-update",
        "conditional_delete": "single",
        "validate_profiles": "off",
        "words": "off",
        "units": "recorded",
        "registration": "closed",
        "second_factor": "required",
        "passwords": "on",
    }
    assert "conditional_delete=multiple" in command("tenant", "set", "strict", "conditional_delete=multiple").stdout
    assert answer("tenant", "set", "strict", "words=on")["settings"]["words"] == "on"
    for wrong, reason in (
        ("colour=red", "is no setting"),
        ("versioning=x", "it can be"),
        ("versioning", "it can be"),
        ("words=indexing", "off or on"),
    ):
        result = command("tenant", "set", "strict", wrong)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())
