"""A Bundle that is answered later: each entry is done once, whenever the process that does it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, transient
from fhir_server.interactions import deferred
from fhir_server.interactions.context import Context
from fhir_server.jobs import running, worker
from fhir_server.store.connection import Store
from fhir_server.store.deferred import BUNDLE, Asked, Deferred
from fhir_server.store.jobs import new_owner
from tests.interactions.conftest import BASE, Tenant, ask, seen_by, transaction

KINDS = {BUNDLE: deferred.kept_for(3600)}
LATER = frozenset({"respond-async"})
ENTRIES = 12


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PAUSE", 0)
    monkeypatch.setattr(deferred, "STEP", 0)


async def sent(ctx: Context, kind: str) -> str:
    entries = [("POST Patient", {"resourceType": "Patient", "active": True})] * ENTRIES
    answer = await ask(ctx, "POST ", transaction(*entries, kind=kind), prefer=LATER)
    assert answer.status == 202
    return str(answer.location)


async def patients(ctx: Context) -> Any:
    return json.trusted((await ask(ctx, "GET Patient?_summary=count")).body or b"")["total"]


async def work(store: Store) -> None:
    while await worker.one(store, KINDS, new_owner(), share=1.0):
        pass


def dying(method: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Dies before every second call, and after every other, as often as that."""
    left = [times]

    async def called(self: Deferred, *given: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            return await method(self, *given)
        if left[0] % 2:
            await method(self, *given)
        raise transient("The process dies.")

    return called


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_each_entry_is_done_once(store: Store, ctx: Context, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await sent(ctx, kind)
    waiting = await ask(ctx, f"GET {place}")
    assert waiting.status == 202
    assert dict(waiting.headers) == {"X-Progress": "0 % of 12 done", "Retry-After": "1"}
    monkeypatch.setattr(Deferred, "answer", dying(Deferred.answer, 5))
    await work(store)
    answer = await ask(ctx, f"GET {place}")
    assert answer.status == 200
    found = json.trusted(answer.body or b"")
    assert found["type"] == f"{kind}-response"
    assert [each["response"]["status"] for each in found["entry"]] == ["201 Created"] * ENTRIES
    assert len({each["response"]["location"] for each in found["entry"]}) == ENTRIES
    assert await patients(ctx) == ENTRIES


async def test_two_processes_that_both_think_it_is_theirs_do_it_once(store: Store, ctx: Context) -> None:
    await sent(ctx, "batch")
    job = await store.jobs.take([BUNDLE], "me")
    assert job is not None
    both = [KINDS[BUNDLE](running.Running(store, job)) for _ in range(2)]
    await asyncio.gather(*both)
    await store.jobs.end(job, "finished")
    assert await patients(ctx) == ENTRIES


async def test_cancelled_it_is_not_begun(store: Store, ctx: Context) -> None:
    place = await sent(ctx, "batch")
    assert (await ask(ctx, f"DELETE {place}")).status == 202
    await work(store)
    assert await patients(ctx) == 0
    with pytest.raises(FhirError) as problem:
        await ask(ctx, f"GET {place}")
    assert problem.value.status == 404


async def test_the_answer_is_kept_for_some_time(store: Store, ctx: Context) -> None:
    place = await sent(ctx, "batch")
    await work(store)
    assert (await ask(ctx, f"GET {place}")).status == 200
    job = await store.jobs.get(ctx.repo.tenant.name, BUNDLE, place.rpartition("/")[2])
    assert job is not None
    await store.deferred(ctx.repo.tenant).keep(job, timedelta(seconds=-1))
    with pytest.raises(FhirError) as problem:
        await ask(ctx, f"GET {place}")
    assert problem.value.status == 404


async def test_nothing_is_done_for_a_suspended_tenant(store: Store, ctx: Context) -> None:
    place = await sent(ctx, "batch")
    await store.tenants.suspend(ctx.repo.tenant.name)
    await work(store)
    await store.tenants.resume(ctx.repo.tenant.name)
    assert await patients(ctx) == 0
    with pytest.raises(FhirError, match="suspended"):
        await ask(ctx, f"GET {place}")


async def test_another_client_finds_nothing(store: Store, tenant: Tenant) -> None:
    ctx = await tenant()
    mine, theirs = (seen_by(store, ctx, "system/*.cruds", subject=name) for name in ("me", "them"))
    place = await sent(mine, "batch")
    for request in ("GET", "DELETE"):
        with pytest.raises(FhirError) as problem:
            await ask(theirs, f"{request} {place}")
        assert problem.value.status == 404
    assert isinstance(await ask(mine, f"GET {place}"), EntryResponse)
    await work(store)


async def statuses(ctx: Context, place: str) -> list[str]:
    found = json.trusted((await ask(ctx, f"GET {place}")).body or b"")
    return [each["response"]["status"][:3] for each in found["entry"]]


async def test_the_roles_of_a_person_limit_what_is_done_later(store: Store, ctx: Context) -> None:
    await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
    await ask(ctx, "PUT Patient/p2", {"resourceType": "Patient", "id": "p2"})
    own = seen_by(store, ctx, "user/*.cruds", roles=("guest",), patients=("p1",), fhir_user="Patient/p1")
    reads = transaction(("GET Patient/p1", None), ("GET Patient/p2", None), ("DELETE Patient/p1", None), kind="batch")
    place = (await ask(own, "POST ", reads, prefer=LATER)).location
    await work(store)
    assert await statuses(own, str(place)) == ["200", "404", "403"]


async def test_all_that_limits_a_caller_is_kept(store: Store, ctx: Context) -> None:
    """But what is shared, which is looked up again."""
    given = {"roles": ("guest",), "patients": ("p1", "p2"), "fhir_user": "Person/me", "token_id": "t"}
    sender = seen_by(store, ctx, "patient/*.rs user/*.rs", patient="p1", **given)
    entries = [{"request": {"method": "GET", "url": "Patient"}}]
    deferred_bundles = store.deferred(ctx.repo.tenant)
    asked = Asked({"resourceType": "Bundle"}, sender.repo.caller, BASE, frozenset(), None)
    job = await deferred_bundles.add(asked, entries)
    kept = (await deferred_bundles.asked(job)).caller  # type: ignore[union-attr]
    for field in fields(Caller):
        assert getattr(kept, field.name) == getattr(sender.repo.caller, field.name), field.name
    await work(store)


async def test_nothing_is_done_for_a_patient_who_is_gone_meanwhile(store: Store, ctx: Context) -> None:
    await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
    own = seen_by(store, ctx, "patient/*.cruds", patient="p1")
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    wanted = transaction(("POST Observation", {**observation, "subject": {"reference": "Patient/p1"}}), kind="batch")
    place = (await ask(own, "POST ", wanted, prefer=LATER)).location
    await ask(ctx, "DELETE Patient/p1")
    await work(store)
    with pytest.raises(FhirError, match="no longer"):
        await ask(own, f"GET {place}")
