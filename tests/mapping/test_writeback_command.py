"""`fhir-server migrate writeback` from end to end: a PATCH by HTTP, and the row of the practice says the same."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner, Result

from fhir_server.app import build
from fhir_server.auth.tokens import issue
from fhir_server.cli.program import app
from fhir_server.settings import Settings

TENANT = "returned"
PATCH = "application/json-patch+json"
Command = Callable[..., Result]


@pytest.fixture
def command(mongo_url: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("FHIR_MONGO_URL", mongo_url)
    monkeypatch.setenv("FHIR_DATABASE", database_name)

    def run(*args: str) -> Result:
        return CliRunner().invoke(app, [*args, "--json"], catch_exceptions=False)

    return run


async def patched(settings: Settings, criteria: str, operations: list[dict[str, Any]]) -> str:
    """The reference of the first match, changed over HTTP."""
    server = build(settings)
    async with server.router.lifespan_context(server):
        key = await server.state.keyring.signing(TENANT)
        scope = "system/Appointment.rus"
        token = issue(key, base_url="", tenant=TENANT, subject="s", client_id="tests", scope=scope)
        transport = httpx.ASGITransport(server)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": PATCH}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", headers=headers) as client:
            base = f"/fhir/{TENANT}"
            found = (await client.get(f"{base}/{criteria}")).json()["entry"][0]["resource"]
            reference = f"{found['resourceType']}/{found['id']}"
            answer = await client.patch(f"{base}/{reference}", content=json.dumps(operations))
            assert answer.status_code == 200, answer.text
            return reference


def test_a_patch_goes_back_into_its_row(command: Command, tmp_path: Path, mongo_url: str, database_name: str) -> None:
    url = f"sqlite:///{tmp_path / 'practice.db'}"
    command("seed", "--rows", "5", "--to", url)
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE appointments SET status = 'scheduled', deleted_at = NULL, client_id = 1"))
    command("tenant", "create", TENANT)
    at = ("-t", TENANT, "--tables", "clients,appointments")
    assert command("migrate", "run", "--from", url, *at).exit_code == 0

    settings = Settings(mongo_url=mongo_url, database=database_name)
    operations = [{"op": "replace", "path": "/status", "value": "noshow"}]
    reference = asyncio.run(patched(settings, "Appointment?status=booked", operations))

    (waiting,) = json.loads(command("migrate", "writeback", "--to", url, *at).stdout)["edits"]
    assert (waiting["resource"], waiting["status"], waiting["columns"]) == (reference, "pending", ["status"])
    done = json.loads(command("migrate", "writeback", "--to", url, "--apply", *at).stdout)
    assert done["counts"]["written"] == 1
    with create_engine(url).begin() as connection:
        found = connection.execute(text("SELECT id FROM appointments WHERE status = 'no_show'")).all()
    assert found == [(int(waiting["key"]),)]
    assert json.loads(command("migrate", "writeback", "--to", url, "--apply", *at).stdout)["edits"] == []
    again = json.loads(command("migrate", "run", "--from", url, *at).stdout)
    assert all(each["counts"]["unchanged"] == each["rows"] for each in again["tables"])


def test_what_cannot_go_back_is_told_and_fails(
    command: Command, tmp_path: Path, mongo_url: str, database_name: str
) -> None:
    url = f"sqlite:///{tmp_path / 'practice.db'}"
    command("seed", "--rows", "5", "--to", url, "--seed", "2")
    command("tenant", "create", TENANT)
    at = ("-t", TENANT, "--tables", "appointments")
    command("migrate", "run", "--from", url, *at)
    operations = [{"op": "add", "path": "/priority", "value": 3}]
    asyncio.run(patched(Settings(mongo_url=mongo_url, database=database_name), "Appointment", operations))
    result = CliRunner().invoke(app, ["migrate", "writeback", "--to", url, *at])
    assert result.exit_code == 1
    assert "1 refused." in result.output
