"""`fhir-server tenant clone`"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command

Answer = Callable[..., Any]


def test_a_masked_copy_is_made_and_no_other(command: Command, answer: Answer, tmp_path: Path) -> None:
    answer("tenant", "create", "riverside")
    (tmp_path / "p1.json").write_text(json.dumps({"resourceType": "Patient", "id": "p1", "name": [{"family": "Roe"}]}))
    answer("load", "--tenant", "riverside", str(tmp_path / "p1.json"))
    for words, reason in (
        (("riverside", "copy"), "say so with --masked"),
        (("nobody", "copy", "--masked"), "no tenant 'nobody'"),
        (("riverside", "riverside", "--masked"), "is there already"),
    ):
        result = command("tenant", "clone", *words)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())
    secret = tmp_path / "trial.key"
    secret.write_text("short")
    project = ("--project", str(secret))
    assert "32 bytes" in command("tenant", "clone", "riverside", "copy", "--masked", *project).stderr
    secret.write_text("a secret of thirty-two bytes or so")
    done = answer("tenant", "clone", "riverside", "copy", "--masked", *project)
    assert done == {"tenant": "copy", "resources": {"Patient": 1}, "left_out": []}
    assert answer("tenant", "show", "copy")["title"] == "Masked copy of riverside"
    assert "Patient" in command("tenant", "clone", "riverside", "copy", "--masked", *project).stdout
