"""`fhir-server seed` and `fhir-server migrate` as an operator types them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from fhir_server.cli import common
from fhir_server.cli.program import app
from fhir_server.mapping import migration
from seed.sealing import SAMPLE_KEY

Command = Callable[..., Result]


@pytest.fixture
def command(mongo_url: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("FHIR_MONGO_URL", mongo_url)
    monkeypatch.setenv("FHIR_DATABASE", database_name)

    def run(*args: str) -> Result:
        return CliRunner().invoke(app, list(args), catch_exceptions=False)

    return run


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_from_a_sample_database_to_a_second_run(command: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'practice.db'}"
    seeded = answer(command("seed", "--rows", "40", "--to", url, "--json"))
    assert seeded["tables"]["clients"] == 40
    assert command("migrate", "check", "--from", url).exit_code == 0
    assert command("tenant", "create", "riverside").exit_code == 0

    first = answer(command("migrate", "run", "--from", url, "-t", "riverside", "--key", f"pii={SAMPLE_KEY}", "--json"))
    assert {each["table"]: each["rows"] for each in first["tables"]} == {
        table.table: seeded["tables"][table.table] for table in migration.declared("pms").in_order()
    }
    for each in first["tables"]:
        assert sum(each["counts"].values()) == each["rows"]

    again = answer(command("migrate", "run", "--from", url, "-t", "riverside", "--key", f"pii={SAMPLE_KEY}", "--json"))
    assert all(each["counts"]["unchanged"] == each["rows"] for each in again["tables"])

    shown = answer(command("migrate", "status", "-t", "riverside", "--json"))
    assert shown["outputs"]["providers"]["mapped"] > 0
    table = command("migrate", "run", "--from", url, "-t", "riverside", "--tables", "providers")
    assert "unchanged" in table.output
    assert "rows/s" in table.output
    assert "clients" not in table.output


def test_the_page_shows_what_explain_prints(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'practice.db'}"
    command("seed", "--rows", "30", "--to", url, "--json")
    command("tenant", "create", "tour")
    monkeypatch.setattr(common, "console", Console(width=110))
    told = command("migrate", "explain", "providers", "1", "--from", url, "--tenant", "tour").output.splitlines()
    page = (Path(__file__).parents[2] / "docs/migrating.md").read_text()
    shown = page.split("migrate explain providers 1")[1].split("\n", 1)[1].split("…")[0].splitlines()
    assert any("last_name" in line and "•••" in line for line in shown)
    assert [line.rstrip() for line in told[: len(shown)]] == shown

    answer(command("migrate", "run", "--from", url, "-t", "tour", "--tables", "providers", "--json"))
    resource = told[0].split()[1]
    back = answer(command("migrate", "explain", "--resource", resource, "--from", url, "-t", "tour", "--json"))
    assert [each["resource"] for each in back] == [resource]


def test_a_source_is_followed_and_rows_tried_again(command: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'practice.db'}"
    command("seed", "--rows", "5", "--to", url, "--json")
    command("tenant", "create", "followed")
    at = ("--from", url, "-t", "followed", "--tables", "providers", "--json")
    assert answer(command("migrate", "sync", "--once", *at))["tables"][0]["rows"] == 3
    assert answer(command("migrate", "retry", *at))["tables"] == []
    assert command("migrate", "retry", "--row", "providers", *at).exit_code == 2


def test_check_can_show_the_python_that_runs(command: Command) -> None:
    shown = command("migrate", "check", "--tables", "providers", "--python")
    assert "def outputs(row" in shown.stdout
    assert '"""Practitioner, pms/providers.yaml:' in shown.stdout
    compile(shown.stdout, "shown", "exec")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("migrate", "check", "--source", "pmx"), 1, "There is no source 'pmx'"),
        (("migrate", "check", "--tables", "client"), 1, "Did you mean 'clients'?"),
        (("migrate", "check", "--from", "nonsense"), 2, "cannot be opened"),
        (("migrate", "run", "--from", "sqlite://", "-t", "nobody"), 1, "nobody"),
        (("seed", "--to", "sqlite:////does/not/exist.db"), 2, "cannot be written"),
    ],
)
def test_mistakes_are_sentences(command: Command, args: tuple[str, ...], code: int, says: str) -> None:
    result = command(*args)
    assert result.exit_code == code
    assert says in " ".join(result.output.split())


def test_a_database_that_does_not_fit_is_refused_before_a_row_is_read(command: Command) -> None:
    assert command("tenant", "create", "empty").exit_code == 0
    result = command("migrate", "run", "--from", "sqlite://", "-t", "empty")
    assert result.exit_code == 1
    assert "has no table 'clients'" in " ".join(result.output.split())
