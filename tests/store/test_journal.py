"""Events become durable in groups, in chains that hold; whatever fails, nobody is answered before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.crypto import chain
from fhir_server.fhir import audit
from fhir_server.fhir.audit import Agent, Code, Event
from fhir_server.fhir.outcome import FhirError
from fhir_server.store import grouped, journal, keeping, processes, tenants
from fhir_server.store.anchor import AnchorFile, anchored
from fhir_server.store.connection import Store, opened
from fhir_server.store.journal import Journal
from fhir_server.store.rows import entry_in
from fhir_server.store.tenants import Tenant
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import plan_of
from tests.store.test_audited import audit_event

REST = Code("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
READ = Code("http://hl7.org/fhir/restful-interaction", "read", "read")


def event(number: int = 1, **more: Any) -> Event:
    agents = (Agent((audit.OAUTH,), reference="Practitioner/dr", requestor=True),)
    entities = (audit.data(f"Observation/o{number}/_history/1"), audit.patient("Patient/p1"))
    return Event(REST, (READ,), "R", datetime.now(UTC), agents, entities, **more)


async def links(store: Store, tenant: str) -> dict[str, list[chain.Entry]]:
    """The entries of a tenant by writer, each proven to follow the one before it."""
    await store.journal.settled()
    key = await store.keys.witness(tenant)
    found: dict[str, list[chain.Entry]] = {}
    async for document in store.common.audit_chain.find({"t": tenant}).sort([("_id", 1)]):
        entry = entry_in(document)
        before = found.setdefault(entry.writer, [])
        assert chain.fault(entry, document["mac"], before[-1] if before else None, key) is None
        before.append(entry)
    return found


async def chained(store: Store, tenant: str) -> list[chain.Entry]:
    """The entries of a tenant's events; each stands for what is stored of it."""
    entries = [each for found in (await links(store, tenant)).values() for each in found if each.event]
    for each in entries:
        document = await store.common.audit.find_one({"_id": f"{tenant}|AuditEvent|{each.event}"})
        assert document is not None
        assert chain.digest(document["body"]) == each.digest
    return entries


@pytest_asyncio.fixture(scope="module")
async def apart(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    name = f"test_{uuid4().hex}"
    anchor = tmp_path_factory.mktemp("anchor") / "anchor"
    async with opened(mongo_url=mongo_url, database=name, anchor=anchor) as store:
        yield store
    async with AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client:
        await client.drop_database(name)


@pytest_asyncio.fixture
async def own(apart: Store) -> AsyncIterator[Store]:
    """A store that nobody else looks after, with nothing in its journal."""
    apart.journal = a_journal(apart)
    yield apart
    await apart.journal.close()
    for name in ("audit", "audit_chain", "audit_writers", "audit_checkpoints"):
        await getattr(apart.common, name).delete_many({})


def a_journal(store: Store) -> Journal:
    """That of another process."""
    watching = processes.Processes(store.common.audit_writers)
    return Journal(store.tenants, store.keys, store.of, watching, store.keys.witness)


async def test_an_event_is_a_resource_like_any_other(store: Store) -> None:
    tenant = await new_tenant(store)
    name = await store.journal.record(tenant.name, event())
    repository = as_system(store, tenant)
    version = await repository.current("AuditEvent", name)
    assert version.resource() == audit.resource_of(event(), name) | {
        "meta": version.resource()["meta"],
        "recorded": version.resource()["recorded"],
    }
    found = await repository.search(plan_of("AuditEvent?entity=Observation/o1&agent=Practitioner/dr"))
    assert [each.resource_id for each in found.versions] == [name]


async def test_many_at_once_are_one_chain(store: Store) -> None:
    tenant = await new_tenant(store)
    names = await asyncio.gather(*(store.journal.record(tenant.name, event(each)) for each in range(100)))
    (entries,) = (await links(store, tenant.name)).values()
    assert sorted(each.event for each in entries[1:]) == sorted(names)
    assert len(await chained(store, tenant.name)) == 100


async def test_who_comes_when_a_group_has_just_ended_does_not_wait(store: Store) -> None:
    tenant = await new_tenant(store)

    async def one_after_the_other() -> None:
        for number in range(30):
            await store.journal.record(tenant.name, event(number))

    await asyncio.gather(*(one_after_the_other() for _ in range(3)))
    assert len(await chained(store, tenant.name)) == 90


async def test_several_processes_have_a_chain_each(store: Store, mongo_url: str) -> None:
    tenant = await new_tenant(store)
    async with opened(mongo_url=mongo_url, database=store.common.name) as other:
        both = (store.journal, other.journal)
        await asyncio.gather(*(each.record(tenant.name, event(number)) for number in range(40) for each in both))
    found = await links(store, tenant.name)
    assert sorted(len(each) for each in found.values()) == [41, 42]
    assert [each[-1].kind for each in found.values()].count("close") == 1
    assert len(await chained(store, tenant.name)) == 80


async def test_an_event_of_a_transaction_is_stored_with_it_or_not_at_all(store: Store) -> None:
    tenant = await new_tenant(store)
    place = store.of(tenant)
    for kept in (False, True):
        async with place.session() as session:
            await session.start_transaction()
            rows = await store.journal.within(session, tenant, [event(1), event(2)])
            await (session.commit_transaction() if kept else session.abort_transaction())
        if kept:
            await store.journal.committed(tenant, rows)
    await store.journal.settled()
    assert {each.event for each in await chained(store, tenant.name)} == {each.event for each in rows}
    assert await place.audit.count_documents({"t": tenant.name}) == 2


async def test_a_journal_that_is_off_records_nothing(mongo_url: str) -> None:
    async with opened(memory=True, audit=False) as store:
        tenant = await new_tenant(store)
        assert await store.journal.record(tenant.name, event()) == ""
        assert await store.journal.within(None, tenant, [event()]) == []
        await store.journal.committed(tenant, [])
        assert await store.common.audit.count_documents({}) == 0


async def test_nothing_is_recorded_of_nobody(store: Store) -> None:
    with pytest.raises(FhirError, match="no tenant 'nobody'"):
        await store.journal.record("nobody", event())


async def test_what_waited_long_is_recorded_as_of_now(store: Store) -> None:
    tenant = await new_tenant(store)
    old = datetime.now(UTC) - timedelta(minutes=5)
    name = await store.journal.record(tenant.name, Event(REST, (READ,), "R", old, ()))
    version = await as_system(store, tenant).current("AuditEvent", name)
    assert datetime.now(UTC) - version.last_updated.replace(tzinfo=UTC) < timedelta(minutes=1)


async def left_behind(store: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process leaves that is killed between a commit and the entries for it."""
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    monkeypatch.setattr(keeping, "AGAIN", 0.0)
    other = a_journal(store)
    await other.record(tenant.name, event(1))
    await other.within(None, tenant, [event(2), event(3)])
    await other.settled()
    assert other._beating is not None
    other._beating.cancel()


async def test_what_a_dead_process_leaves_is_put_in_order(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = await new_tenant(own)
    await left_behind(own, tenant, monkeypatch)
    own.journal.keeping._watch.silent = 0.0
    for _ in range(2):
        assert await own.journal.round()
        await own.journal.settled()
        await asyncio.sleep(0.01)
    found = await links(own, tenant.name)
    kinds = sorted([each.kind for each in entries] for entries in found.values())
    assert kinds == [["open", "event", "close"], ["open", "recovered", "recovered"]]
    assert len(await chained(own, tenant.name)) == 3
    assert [each["p"] for each in await own.journal._processes.all()] == [own.journal.process]


async def test_what_was_sent_is_given_an_entry_and_what_was_smuggled_in_is_not(
    own: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    monkeypatch.setattr(keeping, "AGAIN", 0.0)
    monkeypatch.setattr(keeping, "EVERY", 0.0)
    tenant = await new_tenant(own)
    repository = as_system(own, tenant)
    name = await own.journal.record(tenant.name, event())
    await own.journal.settled()
    await own.journal.round()
    await repository.update(audit_event("a1"))
    await repository.put_many([audit_event("a2"), audit_event("a3")])
    await repository.transaction(lambda inside: inside.update(audit_event("a4")))
    await repository.update(audit_event("a1", action="U"))
    document = await own.common.audit.find_one({"id": "a1"})
    assert document is not None
    await own.common.audit.insert_one({**document, "_id": f"{tenant.name}|AuditEvent|forged", "id": "forged"})
    await asyncio.sleep(0.01)
    await own.journal.round()
    await own.journal.settled()
    entries = await chained(own, tenant.name)
    assert {(each.event, each.version, each.kind) for each in entries} == {
        (name, 1, "event"),
        ("a1", 2, "received"),
        *((each, 1, "received") for each in ("a2", "a3", "a4")),
    }


async def test_what_was_there_before_is_taken_in_once(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    monkeypatch.setattr(keeping, "AGAIN", 0.0)
    tenant = await new_tenant(own)
    await as_system(own, tenant).update(audit_event("a1"))
    await own.common.audit.update_many({}, {"$unset": {"mac": ""}})
    await asyncio.sleep(0.01)
    await own.journal.record(tenant.name, event())
    await own.journal.settled()
    await own.journal.round()
    await own.journal.settled()
    assert ("a1", "received") in {(each.event, each.kind) for each in await chained(own, tenant.name)}


async def test_a_chain_that_another_has_closed_is_not_gone_on_with(own: Store) -> None:
    tenant = await new_tenant(own)
    await own.journal.record(tenant.name, event(1))
    await own.journal.settled()
    own.journal.keeping._watch.silent = -1.0
    await own.journal.round()
    await own.journal.record(tenant.name, event(2))
    found = sorted((await links(own, tenant.name)).values(), key=len, reverse=True)
    assert [[each.kind for each in entries] for entries in found] == [["open", "event", "close"], ["open", "event"]]


async def test_an_idle_chain_ends(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = await new_tenant(own)
    await own.journal.record(tenant.name, event(1))
    monkeypatch.setattr(journal, "IDLE", -1.0)
    await own.journal._rested()
    await own.journal.record(tenant.name, event(2))
    assert sorted(len(each) for each in (await links(own, tenant.name)).values()) == [2, 3]


async def test_only_one_process_takes_its_turn(own: Store) -> None:
    other = processes.Processes(own.common.audit_writers)
    assert await other.turn("another")
    assert not await own.journal.round()


def test_a_process_is_dead_when_its_beat_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(processes, "monotonic", lambda: now)
    watch = processes.Watch()
    for beat in range(5):
        now += 9.0
        assert watch.dead([{"p": "a", "beat": beat}, {"p": "b", "beat": 1}]) == (["b"] if beat > 1 else [])


assert grouped.PATIENCE < 5.0, "who waits is told within five seconds"


async def test_what_was_there_before_is_left_to_a_process_that_stays(
    own: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command makes no first checkpoint over events that have no entry yet."""
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    monkeypatch.setattr(keeping, "AGAIN", 0.0)
    tenant = await new_tenant(own)
    await as_system(own, tenant).update(audit_event("a1"))
    await own.common.audit.update_many({}, {"$unset": {"mac": ""}})
    command = a_journal(own)
    await command.record(tenant.name, event())
    await command.close()
    assert await own.common.audit_checkpoints.count_documents({}) == 0
    await own.journal.record(tenant.name, event())
    for _ in range(2):
        await own.journal.round()
    assert [each.event for each in await chained(own, tenant.name)].count("a1") == 1
    assert await own.common.audit_checkpoints.count_documents({}) == 1


async def test_a_command_gives_an_entry_to_what_it_has_stored(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    tenant = await new_tenant(own)
    await own.journal.record(tenant.name, event())
    await as_system(own, tenant).put_many([audit_event("a1"), audit_event("a2")])
    await own.journal.settled()
    await own.journal.close()
    kinds = [each.kind for found in (await links(own, tenant.name)).values() for each in found]
    assert kinds == ["open", "event", "received", "received", "close"]
    (checkpoint,) = await own.common.audit_checkpoints.find({}).to_list()
    assert checkpoint["entries"] == 5


async def test_a_tenant_of_the_same_name_begins_anew(
    own: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tenants, "REMEMBERED", 0.0)
    own.journal.keeping.anchor = AnchorFile(tmp_path / "anchor")
    for title in ("first", "second"):
        tenant = await own.tenants.create("again", title=title)
        await own.journal.record("again", event())
        await own.journal.settled()
        await own.journal.keeping.settle(own.common, tenant)
        (line,) = anchored(tmp_path / "anchor", "again")
        assert (line.checkpoint, line.entries) == (1, 2)
        await own.tenants.erase("again")
        assert list(anchored(tmp_path / "anchor", "again")) == []
        await asyncio.sleep(1.0)  # Tenants are told apart by the second they were created in.
