"""Commands called as a person would call them, on a database of the test module."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fhir_server.cli.program import app

Command = Callable[..., Result]


@pytest.fixture
def command(mongo_url: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("FHIR_MONGO_URL", mongo_url)
    monkeypatch.setenv("FHIR_DATABASE", database_name)

    def call(*words: str, **more: Any) -> Result:
        return CliRunner().invoke(app, list(words), **more)

    return call


@pytest.fixture
def answer(command: Command) -> Callable[..., Any]:
    """What a command that succeeds prints as JSON."""

    def call(*words: str) -> Any:
        result = command(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call
