"""Where the record cannot be written nothing leaves the server, and it recovers by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench.replica_set import NAME, Member
from fhir_server.fhir.outcome import FhirError
from fhir_server.settings import Settings
from fhir_server.store import grouped, journal, keeping, mongod
from fhir_server.store.connection import Store, opened
from fhir_server.store.tenants import Tenant
from tests.rest.conftest import MINE, House, house
from tests.store.conftest import new_tenant
from tests.store.test_journal import chained, event

DATABASE = "faults"
AT_ONCE = 5.0
"""Seconds within which whoever waits is told."""
CANARY = "Canary-4711"


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A `mongod` of its own, whose commands can be made to fail."""
    binary = mongod.find(os.environ.get("FHIR_MONGOD"))
    assert binary is not None
    found = Member(binary, tmp_path_factory.mktemp("mongod"))
    found.start()
    configuration = {"_id": NAME, "members": [{"_id": 0, "host": found.address}]}
    for words in ({"replSetInitiate": configuration}, {"hello": 1}):
        _answered(found, words)
    yield found
    found.kill()


def _answered(member: Member, words: dict[str, Any]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            answer = member.command(words)
            if "hello" not in words or answer["isWritablePrimary"]:
                return
        except Exception:
            assert time.monotonic() < until
        time.sleep(0.1)


@pytest_asyncio.fixture(scope="module")
async def served(member: Member) -> AsyncIterator[House]:
    async for each in house(Settings(mongo_url=member.url, database=DATABASE)):
        patient = {"resourceType": "Patient", "id": "p1", "name": [{"family": CANARY}]}
        await each.ask("PUT", "Patient/p1", json=patient, headers={"Content-Type": "application/fhir+json"})
        yield each


@pytest.fixture
def store(served: House) -> Store:
    found: Store = served.app.state.store
    return found


@pytest_asyncio.fixture
async def tenant(store: Store) -> Tenant:
    found = await new_tenant(store)
    await store.journal.record(found.name, event(0))
    await store.journal.settled()
    return found


def inserting(where: str, **fault: Any) -> dict[str, Any]:
    return {"failCommands": ["insert"], "namespace": f"{DATABASE}.{where}", **fault}


DISK_FULL = {"errorCode": 14031}
HANGING = {"blockConnection": True, "blockTimeMS": 2_000}
"""A fail point is taken back when nobody is held by it any more."""
HANGING_LONG = {"blockConnection": True, "blockTimeMS": 6_000}
GONE = {"closeConnection": True}
UNKNOWN = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
"""What was sent has been stored, and whether it stays is not known."""


LONG = 60.0
"""Seconds, for what is to succeed however busy the machine is."""


def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.5) -> None:
    for each in (grouped, journal):
        monkeypatch.setattr(each, "PATIENCE", seconds)


@pytest.mark.parametrize(
    ("where", "fault", "seconds"),
    [
        ("audit", DISK_FULL, 0.5),
        ("audit_chain", DISK_FULL, 0.5),
        ("audit", GONE, 0.5),
        ("audit_chain", GONE, 0.5),
        ("audit", UNKNOWN, 0.5),
        ("audit", HANGING_LONG, grouped.PATIENCE),
        ("audit_chain", HANGING, 0.5),
    ],
    ids=str,
)
async def test_nobody_is_answered_meanwhile(
    member: Member,
    served: House,
    where: str,
    fault: dict[str, Any],
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each refusal says nothing of what was asked for, and what comes after the outage is answered.

    Where entries are what fails, that is noticed when the first of them has not followed its event.
    """
    impatient(monkeypatch, seconds)
    monkeypatch.setattr(grouped, "LATE", 0.1)
    with member.failing("failCommand", **inserting(where, **fault)):
        if where == "audit_chain":
            assert (await served.ask("GET", "Patient/p1")).status_code == 200
            await asyncio.sleep(0.2)
        began = time.monotonic()
        refused = await asyncio.gather(
            served.ask("GET", "Patient/p1"),
            served.ask("GET", f"Patient?family={CANARY}"),
            served.ask("GET", "Patient/p1/_history"),
            served.client.get(f"/fhir/{MINE}/metadata"),
        )
        assert time.monotonic() - began < AT_ONCE
    for each in refused[:-1]:
        assert (each.status_code, each.json()["issue"][0]["code"]) == (503, "transient")
        assert each.headers["Retry-After"]
        assert CANARY not in each.text
    assert refused[-1].status_code == 200, "what the server can do is nobody's data"
    impatient(monkeypatch, LONG)
    assert CANARY in (await served.ask("GET", "Patient/p1")).text


async def test_a_write_is_not_stored_without_its_event(
    member: Member, served: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    note = {"resourceType": "Basic", "id": "b1", "code": {"text": "x"}}
    headers = {"Content-Type": "application/fhir+json"}
    for fault in (DISK_FULL, HANGING):
        began = time.monotonic()
        with member.failing("failCommand", **inserting("audit", **fault)):
            refused = await served.ask("PUT", "Basic/b1", json=note, headers=headers)
        assert (refused.status_code, refused.json()["issue"][0]["code"]) == (503, "transient")
        assert time.monotonic() - began < AT_ONCE + 1
        impatient(monkeypatch, LONG)
        assert (await served.ask("GET", "Basic/b1")).status_code == 404
        impatient(monkeypatch)
    impatient(monkeypatch, LONG)
    assert (await served.ask("PUT", "Basic/b1", json=note, headers=headers)).status_code == 201


@pytest.mark.parametrize("where", ["audit", "audit_chain"])
@pytest.mark.parametrize("fault", [DISK_FULL, GONE, UNKNOWN], ids=["full", "gone", "unknown"])
async def test_what_fails_once_is_tried_again_and_stored_once(
    member: Member, store: Store, tenant: Tenant, where: str, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, LONG)
    with member.failing("failCommand", {"times": 1}, **inserting(where, **fault)):
        names = await asyncio.gather(*(store.journal.record(tenant.name, event(each)) for each in range(5)))
    last = await store.journal.record(tenant.name, event(6))
    entries = await chained(store, tenant.name)
    assert len(entries) == 7
    assert {*names, last} <= {each.event for each in entries}
    assert await store.common.audit.count_documents({"t": tenant.name}) == 7


async def test_an_event_whose_entry_was_lost_is_given_another(
    member: Member, store: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    with member.failing("failCommand", **inserting("audit_chain", **DISK_FULL)):
        await store.journal.record(tenant.name, event(1))
        await store.journal.settled()
        with pytest.raises(FhirError):
            await store.journal.record(tenant.name, event(3))
        await store.journal.settled()
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    monkeypatch.setattr(keeping, "AGAIN", 0.0)
    impatient(monkeypatch, LONG)
    await store.journal.record(tenant.name, event(2))
    await store.journal.settled()
    await store.journal.round()
    await store.journal.settled()
    # The server looks after the chains too, so that one may be recovered twice.
    kinds = {each.event: each.kind for each in await chained(store, tenant.name)}
    assert sorted(kinds.values()) == ["event", "event", "recovered", "recovered"]


KILLED = """
import asyncio, os, signal, sys
from fhir_server.store.connection import opened
from tests.store.test_journal import event

async def main(url, database, tenant):
    async with opened(mongo_url=url, database=database) as store:
        found = await store.tenants.get(tenant)
        await store.journal.record(tenant, event(1))
        await store.journal.settled()
        async with store.common.session() as session:
            await session.start_transaction()
            await store.journal.within(session, found, [event(2), event(3)])
            await session.commit_transaction()
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_killed_between_a_commit_and_its_entries(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "UNCHAINED", timedelta(0))
    monkeypatch.setattr(keeping, "AGAIN", 0.0)
    async with opened(mongo_url=member.url, database="killed") as store:
        tenant = await new_tenant(store)
        words = [sys.executable, "-c", KILLED, member.url, "killed", tenant.name]
        ended = await asyncio.to_thread(subprocess.run, words, cwd=Path(__file__).parents[2], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert len(await chained(store, tenant.name)) == 1
        store.journal.keeping._watch.silent = 0.0
        for _ in range(2):
            await store.journal.round()
            await store.journal.settled()
            await asyncio.sleep(0.01)
        assert [each.kind for each in await chained(store, tenant.name)].count("recovered") == 2
