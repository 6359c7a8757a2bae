"""What operators do leaves events, in the record of the tenant that it is about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from fhir_server.cli.recording import operator
from fhir_server.fhir import audit, validate
from fhir_server.fhir.audit_kinds import happened
from fhir_server.interactions.events import sealed
from fhir_server.store.connection import opened
from fhir_server.store.ids import uuid7
from tests import events
from tests.cli.conftest import Command

Answer = Callable[..., Any]

IMPORTED = {"system": "https://fhir-server.example/CodeSystem/legacy-source", "code": "emr"}


def kept(mongo_url: str, database: str) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        async with opened(mongo_url=mongo_url, database=database) as store:
            return await events.found(store, "riverside")

    return asyncio.run(read())


def told(event: dict[str, Any]) -> tuple[str, str, str, dict[str, str]]:
    validate.check(event)
    (entity,) = event["entity"]
    details = {each["type"]: each["valueString"] for each in entity.get("detail", ())}
    return event["subtype"][-1]["code"], event["outcome"], entity["name"], details


def test_what_operators_change(
    answer: Answer, command: Command, mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "patient.json"
    file.write_text(json.dumps({"resourceType": "Patient", "id": "p1", "name": [{"family": "Canary"}]}))
    answer("tenant", "create", "riverside")
    answer("tenant", "set", "riverside", "passwords=off")
    command("tenant", "set", "riverside", "passwords=canary")
    answer("tenant", "suspend", "riverside")
    answer("tenant", "resume", "riverside")
    answer("keys", "rotate", "--tenant", "riverside", "--signing")
    public = ("--redirect-uri", "https://app.example/cb", "--scope", "openid patient/*.rs")
    answer("client", "add", "An App", "-t", "riverside", "--id", "app", *public)
    answer("client", "disable", "app", "-t", "riverside")
    answer("user", "add", "ann", "--tenant", "riverside", "--role", "physician")
    answer("user", "reset-password", "ann", "--tenant", "riverside")
    answer("token", "--tenant", "riverside", "--scope", "system/*.rs")
    answer("load", "--tenant", "riverside", str(file))
    found = kept(mongo_url, database_name)
    assert [told(each)[:3] for each in found] == [
        ("tenant", "0", "created"),
        ("tenant", "0", "settings"),
        ("tenant", "4", "settings"),
        ("tenant", "0", "suspended"),
        ("tenant", "0", "active"),
        ("key", "0", "signing"),
        ("client", "0", "app"),
        ("client", "0", "app"),
        ("user", "0", "ann"),
        ("user", "0", "ann"),
        ("token-issued", "0", "fhir-server"),
        ("load", "0", "files"),
    ]
    assert told(found[-1])[3] == {"files": "1", "created": "1"}
    assert all(each["agent"][0]["who"]["identifier"]["value"].startswith("operator:") for each in found)
    assert "Canary" not in json.dumps(found)


def test_what_an_event_keeps_sealed_is_shown_to_operators(
    answer: Answer, command: Command, mongo_url: str, database_name: str
) -> None:
    async def told() -> str:
        async with opened(mongo_url=mongo_url, database=database_name) as store:
            event_id = uuid7()
            key = await store.keys.sealing("riverside")
            query = audit.query(sealed(key, "riverside", event_id, "GET Patient?name=canary"))
            event = happened("choice", datetime.now(UTC), operator(), entities=(query,), id=event_id)
            return await store.journal.record("riverside", event)

    command("tenant", "create", "riverside")
    event_id = asyncio.run(told())
    assert answer("audit", "asked", event_id, "--tenant", "riverside")["asked"] == ["GET Patient?name=canary"]
    looked = kept(mongo_url, database_name)[-1]
    assert (looked["subtype"][0]["code"], looked["entity"][0]["name"]) == ("110101", event_id)


def test_a_migration_leaves_one_event_and_brings_those_of_the_source(
    answer: Answer, command: Command, mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    source = f"sqlite:///{tmp_path}/practice.db"
    command("tenant", "create", "riverside")
    answer("seed", "--system", "emr", "--rows", "5", "--to", source)
    words = (
        "--source",
        "emr",
        "--from",
        source,
        "--tenant",
        "riverside",
        "--tables",
        "audit_logs",
        "--source-tenant",
        "1",
    )
    assert command("migrate", "run", *words).exit_code == 0
    found = kept(mongo_url, database_name)
    run = next(each for each in found if each["subtype"][-1]["code"] == "migration")
    imported = [each for each in found if IMPORTED in each["meta"].get("tag", ())]
    subtype, outcome, name, details = told(run)
    assert (subtype, outcome, name) == ("migration", "0", "emr")
    assert int(details["AuditEvent"]) == len(imported) > 0
    with MongoClient[dict[str, Any]](mongo_url) as client:
        assert client[database_name].resources.count_documents({"rt": "AuditEvent"}) == 0
    assert all(detail_of(each, "log-hash") for each in imported), "its own chain, which was checked row by row"


def detail_of(event: dict[str, Any], name: str) -> str | None:
    details = (detail for entity in event["entity"] for detail in entity.get("detail", ()))
    return next((each["valueString"] for each in details if each["type"] == name), None)
