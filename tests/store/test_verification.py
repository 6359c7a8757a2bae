"""Every way to tamper with what is recorded is found, wherever it is done.

`FHIR_TEST_TAMPERINGS` says at how many places of a chain each is tried, and `FHIR_TEST_TAMPERED_EVENTS` how long it is.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.crypto import ecdsa
from fhir_server.store import grouped, journal, keeping
from fhir_server.store.anchor import AnchorFile, anchored
from fhir_server.store.connection import Store, opened
from fhir_server.store.recorded import Recorded
from fhir_server.store.verification import Fault, Verification
from tests.store.conftest import as_system
from tests.store.tampering import CLASSES, Copy, Read, Sorted, Tampering, copied, stretch
from tests.store.test_audited import audit_event
from tests.store.test_journal import event

PLACES = int(os.environ.get("FHIR_TEST_TAMPERINGS", "20"))
EVENTS = int(os.environ.get("FHIR_TEST_TAMPERED_EVENTS", "150"))
WHOLE = 1000
"""Of more events only a stretch is verified again after each tampering."""

AT_ONCE = 32

TENANT = "acme"


@pytest_asyncio.fixture(scope="module")
async def database(mongo_url: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    yield name
    async with AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client:
        await client.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def original(mongo_url: str, database: str, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Two processes, one after the other, with checkpoints in between; all of it is anchored."""
    path = tmp_path_factory.mktemp("anchor") / "anchor.jsonl"
    patient = pytest.MonkeyPatch()
    for each in (grouped, journal):
        patient.setattr(each, "PATIENCE", 60.0)
    for share in (EVENTS - EVENTS // 5, EVENTS // 5):
        async with opened(mongo_url=mongo_url, database=database, anchor=path) as store:
            if await store.tenants.get(TENANT) is None:
                await store.tenants.create(TENANT)
            for number in range(0, share, AT_ONCE):
                some = range(number, min(number + AT_ONCE, share))
                await asyncio.gather(*(store.journal.record(TENANT, event(each)) for each in some))
                if number // AT_ONCE % max(share // AT_ONCE // 4, 1) == 0:
                    await store.journal.settled()
                    await store.journal.keeping.settle(store.common, await store.tenants.latest(TENANT))
    patient.undo()
    async with opened(mongo_url=mongo_url, database=database) as store:
        return await copied(store, TENANT, list(anchored(path, TENANT)))


@pytest.fixture(autouse=True)
def signatures_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signature of the same statement, thousands of times: most of the time of a long run."""
    known: dict[tuple[str, bytes, bytes], bool] = {}
    is_good = ecdsa.is_good

    def remembered(public: dict[str, Any], statement: bytes, signed: bytes) -> bool:
        asked = (public["kid"], statement, signed)
        if asked not in known:
            known[asked] = is_good(public, statement, signed)
        return known[asked]

    monkeypatch.setattr(ecdsa, "is_good", remembered)


def verification(copy: Copy, *stretched: Any) -> Verification:
    *parts, before = stretched or (None,)
    recorded: Any = Read(copy, *parts)
    return Verification(recorded, copy.tenant, copy.secret, copy.keys, iter(copy.anchored), before=before)


async def first_fault(found: Verification) -> Fault | None:
    return await anext(found.faults(), None)


async def test_what_was_left_alone_is_whole(original: Copy) -> None:
    found = verification(original)
    assert await first_fault(found) is None
    assert found.counts.entries == len(original.chain)
    assert found.counts.events == len(original.audit) == EVENTS
    assert found.counts.anchored == found.counts.checkpoints == len(original.checkpoints) >= 4
    assert found.counts.waiting == 0


@pytest.mark.parametrize("tampering", CLASSES, ids=lambda each: each.__name__)
async def test_tampering_is_found(original: Copy, tampering: Tampering, counted: Callable[[str, int], None]) -> None:
    chance = random.Random(tampering.__name__)
    places = Sorted.of(original)
    events = [each for each in original.chain.values() if each["e"]]
    for number in range(PLACES):
        copy, entry = original.changed(), chance.choice(events)
        tampering(copy, entry, chance)
        part = stretch(places, copy, entry) if EVENTS > WHOLE else ()
        if part and number < 20:
            assert await first_fault(verification(original, *part)) is None
        found = await first_fault(verification(copy, *part))
        assert found is not None, f"{tampering.__name__} at entry {entry['s']} of {entry['w']}"
        if found.writer == entry["w"] and tampering.__name__ not in ("delete_a_writer", "insert_a_forged_one"):
            assert found.seq is not None
            assert abs(found.seq - entry["s"]) <= 1 or "checkpoint" in found.what or "closed" in found.what
    counted("times that records of events were tampered with, each found", PLACES)


async def test_without_an_anchor_an_older_state_looks_whole(original: Copy) -> None:
    """That is what it is for."""
    copy = original.changed()
    CLASSES[9](copy, next(each for each in copy.chain.values() if each["e"]), random.Random(7))
    assert "restored" in str(await first_fault(verification(copy)))
    copy.anchored = []
    assert await first_fault(verification(copy)) is None


async def test_what_is_cut_off_before_a_checkpoint_is_found_at_the_next(mongo_url: str, tmp_path: Path) -> None:
    name = f"test_{uuid4().hex}"
    async with opened(mongo_url=mongo_url, database=name, anchor=tmp_path / "anchor") as store:
        tenant = await store.tenants.create(TENANT)
        for number in range(5):
            last = await store.journal.record(TENANT, event(number))
        await store.journal.settled()
        await store.common.audit.delete_one({"id": last})
        await store.common.audit_chain.delete_one({"e": last})
        assert await first_fault(await of_store(store)) is None
        await asyncio.sleep(1.1)  # The process has said where its chain stands.
        await store.journal.keeping.settle(store.common, tenant)
        assert str(await first_fault(await of_store(store))).endswith("checkpoint 1 stands on it, and it is missing")
        await store._client.drop_database(name)


async def of_store(store: Store, path: Path | None = None) -> Verification:
    tenant = await store.tenants.latest(TENANT)
    lines = anchored(path, TENANT) if path else iter(())
    secret = await store.keys.witness(TENANT)
    keys = {each.kid: each.public for each in await store.keys.attesting(TENANT)}
    return Verification(Recorded(store.of(tenant), TENANT), TENANT, secret, keys, lines)


async def test_versions_deletions_and_dropped_keys(mongo_url: str, tmp_path: Path) -> None:
    """What was sent is recorded as well, version by version; a key that was dropped has signed what it has signed."""
    name, path = f"test_{uuid4().hex}", tmp_path / "anchor"
    async with opened(mongo_url=mongo_url, database=name, anchor=path) as store:
        tenant = await store.tenants.create(TENANT)
        repository = as_system(store, tenant)
        await store.journal.record(TENANT, event())
        await store.journal.settled()
        waiting = await of_store(store)
        await repository.update(audit_event("a1"))
        assert await first_fault(waiting) is None
        assert waiting.counts.waiting == 1
        for work in (repository.update(audit_event("a1", action="U")), repository.delete("AuditEvent", "a1")):
            await recovered(store)
            await work
        await recovered(store)
        await store.journal.keeping.settle(store.common, tenant)
        await store.keys.rotate(TENANT, drop=True)
        await store.journal.record(TENANT, event())
        await store.journal.settled()
        await store.journal.keeping.settle(store.common, tenant)
        found = await of_store(store, path)
        assert await first_fault(found) is None
        assert (found.counts.entries, found.counts.events, found.counts.waiting) == (6, 3, 0)
        assert found.counts.anchored == found.counts.checkpoints
        assert len({each["kid"] async for each in store.common.audit_checkpoints.find({})}) == 2
        await store.common.history.update_one({"v": 1}, {"$set": {"body": b"{}"}})
        assert "its event was changed" in str(await first_fault(await of_store(store)))
        await store._client.drop_database(name)


async def recovered(store: Store) -> None:
    """What has no entry is given one, and a checkpoint follows."""
    before = keeping.UNCHAINED, keeping.AGAIN, keeping.EVERY
    keeping.UNCHAINED, keeping.AGAIN, keeping.EVERY = keeping.UNCHAINED * 0, 0.0, 0.0
    await asyncio.sleep(0.01)
    assert await store.journal.round()
    await store.journal.settled()
    keeping.UNCHAINED, keeping.AGAIN, keeping.EVERY = before


async def test_an_anchor_is_added_to_by_several(tmp_path: Path, original: Copy) -> None:
    """Each adds what is not there yet; a line that somebody died over is left behind."""
    path = tmp_path / "below" / "anchor"
    one, other = AnchorFile(path), AnchorFile(path)
    assert await one.last(TENANT) == 0
    await one.add(original.anchored[:2])
    path.write_bytes(path.read_bytes() + b'{"tenant": "ac')
    await other.add(original.anchored[:3])
    await one.add(original.anchored)
    assert await other.last(TENANT) == original.anchored[-1].checkpoint
    assert list(anchored(path, TENANT)) == original.anchored
    assert path.stat().st_mode & 0o777 == 0o600
