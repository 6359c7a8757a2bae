"""Layout steps: once each, by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from fhir_server.store.database import Database, database
from fhir_server.store.errors import StoreError
from fhir_server.store.layout import AUDIT_INDEXES, HISTORY_INDEXES, RESOURCE_INDEXES
from fhir_server.store.migrations import MIGRATIONS, Migration, migrate


@pytest.fixture
async def empty(mongo_url: str) -> AsyncIterator[Database]:
    name = f"test_{uuid4().hex}"
    async with AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client:
        yield database(client, name)
        await client.drop_database(name)


async def test_makes_every_index(empty: Database) -> None:
    assert await migrate(empty) == [migration.number for migration in MIGRATIONS]
    assert set(await empty.resources.index_information()) == {"_id_", *RESOURCE_INDEXES}
    assert set(await empty.history.index_information()) == {"_id_", *HISTORY_INDEXES}
    assert await migrate(empty) == []


async def test_events_of_earlier_releases_are_found_by_what_tells_them_from_others(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.store.migrations.MOVED", 2)
    entries = {"tok": ["action:R", "entity=Patient/p1"], "str": ["address:192\t192", "type:rest"], "del": False}
    await empty.audit.insert_many([{"_id": f"t|AuditEvent|{number}", **entries} for number in range(5)])
    await empty.audit.create_index([("t", 1), ("tok", 1)], name="tok")
    await migrate(empty)
    assert set(await empty.audit.index_information()) == {"_id_", *AUDIT_INDEXES}
    assert [each["ref"] async for each in empty.audit.find()] == [["entity=Patient/p1", "address:192\t192"]] * 5


async def test_runs_each_once_though_many_start_together(empty: Database) -> None:
    ran: list[int] = []

    async def step(database: Database) -> None:
        ran.append(1)
        await asyncio.sleep(0.05)

    steps = (Migration(1, "first", step), Migration(2, "second", step))
    results = await asyncio.gather(*(migrate(empty, steps) for _ in range(4)))
    assert sorted(results) == [[], [], [], [1, 2]]
    assert len(ran) == 2


async def test_goes_on_where_it_failed(empty: Database) -> None:
    fails = True

    async def first(database: Database) -> None:
        await database.resources.insert_one({"_id": "x|first"})

    async def second(database: Database) -> None:
        if fails:
            raise RuntimeError("power cut")

    steps = (Migration(1, "first", first), Migration(2, "second", second))
    with pytest.raises(RuntimeError):
        await migrate(empty, steps)
    fails = False
    assert await migrate(empty, steps) == [2]


async def test_a_lock_of_a_dead_process_ends(empty: Database) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    await empty.migrations.insert_one({"_id": "lock", "owner": "dead", "until": past})
    assert await migrate(empty) == [migration.number for migration in MIGRATIONS]


async def test_a_newer_layout_is_left_alone(empty: Database) -> None:
    await migrate(empty)
    await empty.migrations.insert_one({"_id": 999, "title": "of the future"})
    with pytest.raises(StoreError, match="newer release"):
        await migrate(empty)
