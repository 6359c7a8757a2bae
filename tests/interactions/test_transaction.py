"""Transactions: whole or not at all, also when they are long or collide."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.attempt import Attempt
from fhir_server.interactions.context import Context, Limits
from fhir_server.interactions.table import perform
from fhir_server.store.connection import Store
from tests.interactions.conftest import Tenant, ask, seen_by, transaction

MANY = 5_000


def chart(size: int) -> dict[str, Any]:
    """A patient and observations that refer to it by its placeholder."""
    patient = "urn:uuid:6d8e7a3c-6a0b-4f0e-9b9b-000000000001"
    entries: list[dict[str, Any]] = [
        {"fullUrl": patient, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    ]
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": patient},
    }
    entries += [{"resource": observation, "request": {"method": "POST", "url": "Observation"}} for _ in range(size - 1)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def total(ctx: Context, search: str) -> int:
    answer = await ask(ctx, f"GET {search}?_summary=count")
    return int(json.trusted(answer.body or b"")["total"])


async def test_five_thousand_entries_are_stored_whole(ctx: Context) -> None:
    answer = await ask(ctx, "POST ", chart(MANY))
    entries = json.trusted(answer.body or b"")["entry"]
    assert [entry["response"]["status"] for entry in entries] == ["201 Created"] * MANY
    patient = entries[0]["response"]["location"].removesuffix("/_history/1")
    found = await ask(ctx, f"GET Observation?subject={patient}&_summary=count")
    assert json.trusted(found.body or b"")["total"] == MANY - 1


async def test_one_bad_entry_and_nothing_is_stored(ctx: Context) -> None:
    bundle = chart(MANY)
    bundle["entry"][-1]["resource"] = {**bundle["entry"][-1]["resource"], "subject": {"reference": "Patient/none"}}
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "POST ", bundle)
    assert refusal.value.issues[0].expression == (f"Bundle.entry[{MANY - 1}].resource.subject.reference",)
    assert await total(ctx, "Patient") == await total(ctx, "Observation") == 0


async def test_too_many_entries_are_refused(tenant: Tenant) -> None:
    ctx = await tenant(Limits(entries=2))
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "POST ", chart(3))
    assert (refusal.value.status, refusal.value.issues[0].code) == (422, "too-costly")


async def test_faults_are_listed_up_to_a_limit(tenant: Tenant) -> None:
    ctx = await tenant(Limits(issues=5))
    bad = transaction(*[("POST Patient", {"resourceType": "Patient", "birthDate": "banana"})] * 20)
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "POST ", bad)
    assert len(refusal.value.issues) == 5


async def test_of_many_conditional_creates_at_once_one_creates(ctx: Context) -> None:
    async def create() -> int:
        patient = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}]}
        answer = await ask(ctx, "POST Patient", patient, if_none_exist="identifier=urn:mrn|1")
        return answer.status

    statuses = await asyncio.gather(*(create() for _ in range(20)))
    assert sorted(statuses) == [200] * 19 + [201]
    assert await total(ctx, "Patient") == 1


async def test_of_many_conditional_updates_at_once_one_creates(ctx: Context) -> None:
    async def update(number: int) -> int:
        patient = {
            "resourceType": "Patient",
            "identifier": [{"system": "urn:mrn", "value": "1"}],
            "multipleBirthInteger": number,
        }
        return (await ask(ctx, "PUT Patient?identifier=urn:mrn|1", patient)).status

    statuses = await asyncio.gather(*(update(number) for number in range(1, 11)))
    assert sorted(statuses) == [200] * 9 + [201]
    assert await total(ctx, "Patient") == 1


async def test_transactions_that_collide_are_tried_again(ctx: Context) -> None:
    """Each answer is of the attempt that was committed: no two say the same version."""
    patient = {"resourceType": "Patient", "id": "p1"}

    async def update() -> str:
        answer = await ask(
            ctx,
            "POST ",
            transaction(("PUT Patient/p1", patient), ("POST Basic", {"resourceType": "Basic", "code": {"text": "x"}})),
        )
        return str(json.trusted(answer.body or b"")["entry"][0]["response"]["etag"])

    etags = await asyncio.gather(*(update() for _ in range(8)))
    assert sorted(etags) == [f'W/"{version}"' for version in range(1, 9)]
    assert await total(ctx, "Basic") == 8


async def test_an_attempt_leaves_nothing_for_the_next(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of a transaction may run more than once; here it runs twice, and the first time is undone."""
    runs: list[bytes] = []
    first = Attempt.run

    async def twice(attempt: Attempt) -> Any:
        found = await first(attempt)
        runs.append(found[0].location.encode() if found[0].location else b"")
        return found

    monkeypatch.setattr(Attempt, "run", twice)
    outer = ctx.repo.transaction

    async def undone_then_done(work: Any) -> Any:
        async def undone(repo: Any) -> Any:
            await work(repo)
            raise FhirError([], status=599)

        with pytest.raises(FhirError):
            await outer(undone)
        return await outer(work)

    monkeypatch.setattr(ctx.repo, "transaction", undone_then_done)
    answer = await ask(ctx, "POST ", transaction(("POST Patient", {"resourceType": "Patient"})))
    location = json.trusted(answer.body or b"")["entry"][0]["response"]["location"].encode()
    assert runs[1] == location != runs[0]
    monkeypatch.undo()
    assert await total(ctx, "Patient") == 1


async def test_references_may_be_free(tenant: Tenant) -> None:
    ctx = await tenant(references="free")
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/later"},
    }
    assert (await ask(ctx, "POST Observation", observation)).status == 201
    assert (await ask(ctx, "POST ", transaction(("POST Observation", observation)))).status == 200


async def test_a_reference_to_what_the_transaction_deletes(ctx: Context) -> None:
    await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/p1"},
    }
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "POST ", transaction(("DELETE Patient/p1", None), ("POST Observation", observation)))
    assert refusal.value.status == 422
    assert (await ask(ctx, "GET Patient/p1")).status == 200


async def test_a_target_of_which_one_has_no_rights_is_not_looked_for(store: Store, ctx: Context) -> None:
    """A feed that may only write observations learns nothing of patients, nor need it be able to read them."""
    feed = seen_by(store, ctx, "system/Observation.c")
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient/any"},
    }
    assert (await ask(feed, "POST Observation", observation)).status == 201


async def test_the_whole_bundle_is_refused_before_the_database_is_asked(store: Store, ctx: Context) -> None:
    caller = seen_by(store, ctx, "system/Patient.c")
    with pytest.raises(FhirError) as refusal:
        await ask(caller, "POST ", transaction(("POST Patient", {"resourceType": "Patient"}), ("GET Patient/p1", None)))
    assert (refusal.value.status, refusal.value.issues[0].expression) == (403, ("Bundle.entry[1]",))
    assert await total(ctx, "Patient") == 0


async def test_other_requests_are_answered_meanwhile(ctx: Context) -> None:
    """A long transaction works in steps: the event loop is never held for long."""
    await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
    long = asyncio.create_task(ask(ctx, "POST ", chart(2_000)))
    reads = 0
    while not long.done():
        await ask(ctx, "GET Patient/p1")
        reads += 1
    assert (await long).status == 200
    assert reads > 10


async def test_entries_are_resolved_against_the_base(ctx: Context) -> None:
    await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
    bundle = transaction((f"GET {ctx.base}/Patient/p1", None), (f"GET {ctx.base}?_type=Patient", None), kind="batch")
    answer = await perform(ctx, EntryRequest("POST", "", bundle))
    entries = json.trusted(answer.body or b"")["entry"]
    assert [entry["response"]["status"] for entry in entries] == ["200 OK", "200 OK"]
    assert entries[1]["resource"]["total"] == 1
