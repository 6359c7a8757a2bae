"""Wrong resources: each with what is wrong, how badly, where, and what a write would be answered.

Checked as the rooms call it, and by HTTP as `$validate` tells it.  https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

import json as standard
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fhir_server.app import build
from fhir_server.auth.tokens import issue
from fhir_server.fhir import json
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.invariants import PREDICATES
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.types import is_sound
from fhir_server.fhir.validate import check, faults, report
from fhir_server.settings import Settings
from tests.fhir.test_invariants import ELSEWHERE

FOLDER = Path(__file__).with_name("wrong")
FEWEST = 500
URL = "http://fhir.example.org"
TENANT = "wrong"
UNBREAKABLE = {"tst-4": "what it asks for is required in any case"}


def rows(name: str) -> list[dict[str, Any]]:
    return yaml.load(
        (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )


TABLES = {file.stem: rows(file.stem) for file in sorted(FOLDER.glob("*.yaml"))}
ROWS = [pytest.param(row, id=f"{name} {row['title']}") for name, table in TABLES.items() for row in table]


def sent(row: dict[str, Any]) -> Any:
    return json.parse(standard.dumps(row["resource"]).encode())


def expected(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["code"], each.get("severity", "error"), each["at"]) for each in row["faults"]]


def as_told(issues: Iterable[dict[str, Any]], severities: set[str]) -> list[tuple[str, str, str]]:
    """Those that a row lists: narrative is missing in nearly all of them, and said to be in a row of its own."""
    return [
        (each["code"], each["severity"], each["expression"][0])
        for each in issues
        if each["severity"] in severities and each["code"] != "informational"
    ]


def is_right(row: dict[str, Any], issues: list[dict[str, Any]]) -> bool:
    """Every fault in order and no other; of advice what the row names."""
    if row["status"] != 200 and "severity" not in row["faults"][-1]:
        found = as_told(issues, {"error"})
    else:
        found = [each for each in as_told(issues, {"error", "warning", "information"}) if each in expected(row)]
    told = " ".join(each["diagnostics"] for each in issues)
    return found == expected(row) and all(each.get("says", "") in told for each in row["faults"])


@pytest.mark.parametrize("row", ROWS)
def test_what_is_wrong(row: dict[str, Any], counted: Callable[[str, int], None]) -> None:
    resource = sent(row)
    assert is_right(row, [each.as_json() for each in report(resource)])
    assert status(resource) == row["status"]
    assert is_sound(resource) == (row["status"] == 200) == (not faults(resource))
    counted("wrong resources told what is wrong, where, and how badly", 1)


def status(resource: Any) -> int:
    try:
        check(resource)
    except FhirError as refused:
        return refused.status
    return 200


@pytest.fixture(scope="module")
async def client(mongo_url: str, database_name: str) -> AsyncIterator[httpx.AsyncClient]:
    app = build(Settings(base_url=URL, mongo_url=mongo_url, database=database_name))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        await app.state.store.tenants.create(TENANT)
        key = await app.state.keyring.signing(TENANT)
        token = issue(key, base_url=URL, tenant=TENANT, scope="system/*.cruds", subject="someone", client_id="an-app")
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.mark.parametrize("name", TABLES)
async def test_by_http(client: httpx.AsyncClient, name: str, counted: Callable[[str, int], None]) -> None:
    for row in TABLES[name]:
        kind = row["resource"].get("resourceType")
        level = f"{kind}/" if kind in resource_types() else ""
        body = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": row["resource"]}]}
        answer = await client.post(f"/fhir/{TENANT}/{level}$validate", json=body)
        assert answer.status_code == 200, (row["title"], answer.text)
        assert is_right(row, answer.json()["issue"]), (row["title"], answer.text)
        counted("wrong resources answered so by $validate", 1)


def test_there_are_many_and_none_twice() -> None:
    written = [standard.dumps(row["resource"], sort_keys=True) for table in TABLES.values() for row in table]
    assert len(written) >= FEWEST
    titles = [(name, row["title"]) for name, table in TABLES.items() for row in table]
    assert len(set(titles)) == len(titles)


def test_every_rule_is_broken_by_one() -> None:
    told = " ".join(each.diagnostics for table in TABLES.values() for row in table for each in report(sent(row)))
    rules = {key.rpartition(" ")[2] for key in PREDICATES} | ELSEWHERE
    missing = {key for key in rules if f"{key}: " not in told and f"({key})" not in told}
    assert {key for key in missing if not key.endswith("-0")} == UNBREAKABLE.keys()
