"""What requests leave in the record.  https://profiles.ihe.net/ITI/BALP"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fhir_server.access.caller import Caller
from fhir_server.fhir import validate
from fhir_server.fhir.outcome import transient
from fhir_server.settings import Settings
from tests import events
from tests.rest.conftest import MINE, House, house

TABLE = yaml.safe_load((Path(__file__).parent / "audited.yaml").read_text(encoding="utf-8"))
NUMBERS: Iterator[int] = count(1)


@pytest.fixture(scope="module")
async def recorded(mongo_url: str, database_name: str) -> AsyncIterator[House]:
    settings = Settings(mongo_url=mongo_url, database=database_name, cors_origins={"https://app.example"})
    async for each in house(settings):
        store = each.app.state.store
        repository = store.repository(await store.tenants.latest(MINE), Caller.system(MINE, "tests"))
        for resource in TABLE["given"]:
            deleted = resource.pop("$delete", False)
            await repository.update(resource)
            if deleted:
                await repository.delete(resource["resourceType"], resource["id"])
        yield each


async def ask(house: House, case: dict[str, Any]) -> tuple[str, httpx.Response]:
    """The id of the request, and its answer."""
    method, _, path = case["request"].partition(" ")
    request_id = f"case-{next(NUMBERS)}"
    headers = {"X-Request-Id": request_id, **case.get("headers", {})}
    scope = case.get("scope", "system/*.cruds")
    if scope is not None:
        who = {"subject": case.get("subject", "s"), "more": case.get("claims", {})}
        token = await house.token(scope, case.get("tenant", MINE), patient=case.get("patient"), **who)
        headers["Authorization"] = f"Bearer {token}"
    more: dict[str, Any] = {}
    if "form" in case:
        more = {"content": case["form"]}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif "body" in case:
        more = {"json": case["body"]}
        headers.setdefault("Content-Type", "application/fhir+json")
    answer = await house.client.request(method, f"/fhir/{MINE}/{path}".rstrip("/"), headers=headers, **more)
    return request_id, answer


async def test_requests_leave_their_events(recorded: House) -> None:
    """One after the other: a request finds what those before it have left."""
    store = recorded.app.state.store
    for case in TABLE["cases"]:
        kept = await events.of_request(store, MINE, (await ask(recorded, case))[0])
        for each in kept:
            validate.check(each)
        found = [await events.summary(store, MINE, each) for each in kept]
        wanted = case["events"]
        shown = [
            {name: said[name] for name in (wanted[place] if place < len(wanted) else said)}
            for place, said in enumerate(found)
        ]
        assert shown == wanted, case["title"]


async def the_event(house: House, request_id: str) -> dict[str, Any]:
    (kept,) = await events.of_request(house.app.state.store, MINE, request_id)
    return await events.summary(house.app.state.store, MINE, kept)


async def test_i27_a_page_link_in_other_hands_is_an_alert(recorded: House) -> None:
    _, answer = await ask(recorded, {"request": "GET Patient?_count=1"})
    link = next(each["url"] for each in answer.json()["link"] if each["relation"] == "next")
    path = link.partition(f"/fhir/{MINE}/")[2]
    asked, answer = await ask(recorded, {"request": f"GET {path}", "subject": "somebody else"})
    assert answer.status_code == 403
    found = await the_event(recorded, asked)
    assert (found["subtype"], found["outcome"], found["user"]) == (
        ["search-type", "denied", "page-link"],
        "8",
        "somebody else",
    )
    assert "_cursor" in found["asked"]


async def test_i33_events_name_nothing_of_another_tenant(recorded: House) -> None:
    store = recorded.app.state.store
    theirs = store.repository(await store.tenants.latest("other"), Caller.system("other", "tests"))
    await theirs.update({"resourceType": "Patient", "id": "theirs"})
    asked, answer = await ask(recorded, {"request": "GET Patient/theirs"})
    assert answer.status_code == 404
    (kept,) = await events.of_request(store, MINE, asked)
    assert "theirs" not in json.dumps(kept)
    assert await events.of_request(store, "other", asked) == []


ENTITLED = [
    ("user/*.rs", {"roles": ["administrator"]}, 200),
    ("user/*.rs", {"roles": ["privacy-officer"]}, 200),
    ("system/AuditEvent.rs", {}, 200),
    ("user/*.rs", {"roles": ["physician"]}, 403),
    ("user/*.rs", {"roles": ["billing"]}, 403),
    ("user/Patient.rs", {"roles": ["administrator"]}, 403),
    ("system/Patient.rs", {}, 403),
]


@pytest.mark.parametrize(("scope", "claims", "status"), ENTITLED, ids=str)
async def test_scope_and_role_together_let_somebody_see_events(
    recorded: House, scope: str, claims: dict[str, Any], status: int
) -> None:
    _, answer = await ask(recorded, {"request": "GET AuditEvent?_count=1", "scope": scope, "claims": claims})
    assert answer.status_code == status


async def test_patients_see_what_is_about_them_and_names_nobody_else(recorded: House) -> None:
    own = {"request": "GET AuditEvent?_count=1000", "scope": "patient/*.rs", "patient": "p1"}
    for path in ("Observation/o1", "Observation/o2", "Observation?status=final"):
        await ask(recorded, {"request": f"GET {path}"})
    _, answer = await ask(recorded, own)
    found = [await events.summary(recorded.app.state.store, MINE, each["resource"]) for each in answer.json()["entry"]]
    assert {tuple(each["patients"]) for each in found} == {("Patient/p1",)}
    _, answer = await ask(recorded, {**own, "scope": "user/*.rs", "claims": {"roles": ["patient"], "patients": ["p2"]}})
    found = [await events.summary(recorded.app.state.store, MINE, each["resource"]) for each in answer.json()["entry"]]
    assert {tuple(each["patients"]) for each in found} == {("Patient/p2",)}


async def test_events_cannot_be_changed(recorded: House) -> None:
    _, answer = await ask(recorded, {"request": "GET AuditEvent?_count=1"})
    name = answer.json()["entry"][0]["resource"]["id"]
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await ask(recorded, {"request": f"{method} AuditEvent/{name}"}))[1].status_code == 405


async def test_nothing_of_a_patient_is_kept_in_clear(
    recorded: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of all that was asked for above: neither in the events, nor in how they are found, nor in the log."""
    caplog.set_level(logging.INFO, "fhir_server")
    told = [each for each in TABLE["cases"] if "canar" in str(each).lower()]
    for case in told:
        await ask(recorded, case)
    recorded.app.state.records.flush()
    assert "answered" in (log := capfd.readouterr().err)
    assert "canar" not in f"{log}{caplog.text}".lower()
    documents = await recorded.app.state.store.common.audit.find({"t": MINE}).to_list()
    assert len(documents) >= len(told) > 5
    assert [each["id"] for each in documents if "canar" in str(each).lower()] == []


@pytest.mark.parametrize(
    "case",
    [each for each in TABLE["cases"] if each["events"] and each["request"].startswith(("GET", "POST"))],
    ids=lambda case: case["title"],
)
async def test_what_cannot_be_recorded_is_not_answered(
    recorded: House, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> str:
        raise transient("The record is away.")

    journal, resources = recorded.app.state.store.journal, recorded.app.state.store.common.resources
    before = await resources.count_documents({})
    monkeypatch.setattr(journal, "record", away)
    monkeypatch.setattr(journal, "within", away)
    _, answer = await ask(recorded, case)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert not answer.content or answer.json()["issue"][0]["diagnostics"] == "The record is away."
    assert await resources.count_documents({}) == before


async def test_what_is_done_later_is_recorded_when_it_is_done(recorded: House) -> None:
    later = {"request": "GET Observation?status=final&subject=Patient/p1", "headers": {"Prefer": "respond-async"}}
    asked, answer = await ask(recorded, later)
    place = answer.headers["content-location"].partition(f"/fhir/{MINE}/")[2]
    assert (await the_event(recorded, asked))["results"] == "0"
    while answer.status_code == 202:
        fetched, answer = await ask(recorded, {"request": f"GET {place}"})
        await asyncio.sleep(0.02)
    found = await the_event(recorded, f"async:{place.rpartition('/')[2]}")
    assert found["patients"] == ["Patient/p1"]
    assert found["asked"] == later["request"]
    assert (await the_event(recorded, fetched))["subtype"] == ["async"]


async def test_events_are_indexed_by_the_parameters_of_the_tenant(recorded: House) -> None:
    """Also those of writes, in whose transaction it shows that the tenant has changed meanwhile."""
    parameter = {
        "resourceType": "SearchParameter",
        "id": "site",
        "url": "https://example.org/site",
        "name": "Site",
        "status": "active",
        "description": "Whether it was done by somebody.",
        "code": "requestor",
        "base": ["AuditEvent"],
        "type": "token",
        "expression": "AuditEvent.agent.requestor",
    }
    _, answer = await ask(recorded, {"request": "PUT SearchParameter/site", "body": parameter})
    assert answer.status_code == 201, answer.text
    asked, answer = await ask(recorded, {"request": "PUT Patient/p6", "body": {"resourceType": "Patient", "id": "p6"}})
    assert answer.status_code == 201, answer.text
    kept = await events.found(recorded.app.state.store, MINE, f"entity:identifier=|{asked}")
    (document,) = await recorded.app.state.store.common.audit.find({"t": MINE, "id": kept[0]["id"]}).to_list()
    assert "requestor:true" in document["tok"]
