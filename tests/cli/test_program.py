"""The program as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fhir_server.cli.program import COMMANDS, app

OWN = ("serve", "tenant", "token", "load")


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert name in shown.stdout


@pytest.mark.parametrize("name", OWN)
def test_help_of_a_command_teaches(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "--help" in shown.stdout


def test_an_unknown_command_is_met_with_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["tokn"])
    assert result.exit_code == 2
    assert "token" in result.output


def test_help_loads_nothing_heavy() -> None:
    """The program starts at once; a command pays for what it uses."""
    heavy = ("pymongo", "fastapi", "joserfc", "pydantic")
    code = f"import sys, fhir_server.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_store_that_cannot_be_reached_is_one_sentence() -> None:
    words = ["tenant", "list", "--mongo-url", "mongodb://127.0.0.1:1/"]
    done = subprocess.run([sys.executable, "-m", "fhir_server.cli", *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "does not answer" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
