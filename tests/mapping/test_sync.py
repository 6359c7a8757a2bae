"""Following a source: what was changed is found, late changes too, and nothing is read that need not be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fhir_server.mapping import migration
from fhir_server.mapping.changes import Changes
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source, Span
from fhir_server.mapping.sync import Sync
from fhir_server.store.connection import Store
from fhir_server.store.mapping_runs import MappingRuns
from seed import pms as sample
from seed.systems import SYSTEMS

CLIENTS = 20
START = datetime(2031, 5, 1, 12, tzinfo=UTC)
TABLES = ("providers", "clients", "appointments")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Following:
    def __init__(self, store: Store, tenant: str, url: str):
        self.store, self.tenant, self.url, self.clock = store, tenant, url, Clock()

    async def __call__(self, *tables: str) -> dict[str, Any]:
        report = await self.report(*tables)
        return {each.table: (each.rows, sum(each.resources.values())) for each in report.tables}

    async def report(self, *tables: str) -> Report:
        tenant = await self.store.tenants.get(self.tenant) or await self.store.tenants.create(self.tenant)
        source, found = Source(self.url), migration.declared("pms", tenant)
        opening = migration.keys(found, [f"pii={sample.SAMPLE_KEY}"])
        options = Options("practice", error_limit=1.0)
        ready = await migration.prepared(self.store, tenant, found, source, opening=opening, options=options)
        try:
            return await Sync(ready, MappingRuns(self.store, tenant), clock=self.clock).once(list(tables or TABLES))
        finally:
            source.close()

    def sql(self, statement: str) -> None:
        with create_engine(self.url).begin() as connection:
            connection.execute(text(statement))

    def ago(self, **before: float) -> str:
        return f"{self.clock.now - timedelta(**before):%Y-%m-%d %H:%M:%S.%f}"


@pytest.fixture
async def sync(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Following:
    url = f"sqlite:///{tmp_path / 'pms.db'}"
    sample.write(url, rows=CLIENTS, tenant="practice", seed=5)
    found = Following(store, "s" + str(abs(hash(request.node.name))), url)
    for table in TABLES:
        found.sql(f"UPDATE {table} SET updated_at = '2031-01-01 00:00:00.000000'")
    assert (await found())["clients"][0] == CLIENTS
    return found


async def test_only_what_was_changed_is_read(sync: Following) -> None:
    assert await sync("clients") == {"clients": (0, 0)}
    sync.sql(f"UPDATE clients SET city = 'Elsewhere', updated_at = '{sync.ago(minutes=2)}' WHERE id IN (1, 2)")
    await sync("clients")
    assert await sync("clients") == {"clients": (2, 0)}, "the overlap is read again and unchanged"
    sync.clock.now += timedelta(minutes=3)
    sync.sql(f"UPDATE clients SET city = 'Anywhere', updated_at = '{sync.ago(minutes=4)}' WHERE id = 3")
    rows, resources = (await sync("clients"))["clients"]
    assert rows == 3, "a transaction that ended late is within the overlap"
    assert resources > 0


async def test_changes_of_the_last_moments_wait(sync: Following) -> None:
    sync.sql(f"UPDATE clients SET city = 'Soon', updated_at = '{sync.ago(seconds=10)}' WHERE id = 1")
    assert (await sync("clients"))["clients"][1] == 0
    sync.clock.now += timedelta(minutes=1)
    assert (await sync("clients"))["clients"][1] == 2, "the Patient, and its Provenance"


async def test_a_changed_parent_has_its_rows_read_again(sync: Following) -> None:
    sync.sql(f"UPDATE appointments SET updated_at = '{sync.ago(minutes=2)}' WHERE id = 1")
    await sync("appointments")
    assert (await sync("appointments"))["appointments"][0] == 1
    sync.sql(f"UPDATE practice_profiles SET id = id + 1, updated_at = '{sync.ago(minutes=1)}'")
    rows, resources = (await sync("appointments"))["appointments"]
    assert rows == 2 * CLIENTS
    assert resources, "the practice is in the appointments"


async def test_a_changed_child_has_its_parent_mapped_again(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'emr.db'}"
    SYSTEMS["emr"].write(url, rows=10, tenant="clinic", seed=5, progress=lambda _, __: None)
    found = migration.declared("emr").tables
    mapping, source = found["encounters"], Source(url)
    source.expect(found)
    changes, legacy = Changes(source, found, START, UTC, timedelta(minutes=5)), create_engine(url)
    with legacy.begin() as connection:
        for table in {mapping.table, *(each.table for each in mapping.read_with)}:
            for name in found[table].watermark if table in found else ():
                connection.execute(text(f"UPDATE {table} SET {name} = '2031-01-01 00:00:00.000000'"))
        encounter = connection.execute(text("SELECT encounter_id FROM encounter_diagnoses LIMIT 1")).scalar_one()
    later = dict.fromkeys(changes.marks(mapping) or {}, "2031-02-01 00:00:00.000000")
    span = Span(where=changes.where(mapping, later))
    assert source.page(mapping, None, span, 1000) == []
    with legacy.begin() as connection:
        change = f"UPDATE encounter_diagnoses SET updated_at = '2031-03-01' WHERE encounter_id = '{encounter}'"
        connection.execute(text(change))
    assert [row[0] for row in source.page(mapping, None, span, 1000)] == [encounter]
    source.close()
    legacy.dispose()


async def test_a_deleted_row_is_found_within_a_day(sync: Following) -> None:
    sync.sql("DELETE FROM providers WHERE id = 1")
    assert (await sync.report("providers")).tables[0].removed == 0
    sync.clock.now += timedelta(days=1)
    assert (await sync.report("providers")).tables[0].removed == 1


async def test_a_row_that_never_says_when_it_changed_is_read_each_time(sync: Following) -> None:
    sync.sql("UPDATE clients SET updated_at = NULL, created_at = NULL WHERE id = 4")
    sync.sql(f"UPDATE clients SET updated_at = '{sync.ago(minutes=2)}' WHERE id = 1")
    await sync("clients")
    sync.sql("UPDATE clients SET city = 'Timeless' WHERE id = 4")
    rows, resources = (await sync("clients"))["clients"]
    assert rows == 2
    assert resources > 0
