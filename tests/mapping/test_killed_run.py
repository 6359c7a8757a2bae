"""A run that is killed at any moment goes on where it was: the store is as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from fhir_server.mapping import migration
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.shared_run import RUN, SharedRun, begun
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store, opened
from seed import pms as sample

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("FHIR_TEST_MIGRATION_KILLS", "3"))
TENANT, RANGE, PAGE = "riverside", 16, 8
PASSING = ("lu", "v", "n", "_id", "first_mapped_at", "last_mapped_at", "run_id", "attempts", "resource_version")
OPTIONS = Options(source_tenant="practice", page=PAGE, error_limit=1.0)


class Place:
    """A database with the tenant, and one legacy source."""

    def __init__(self, store: Store, url: str):
        self.store, self.url = store, url

    async def alone(self) -> Report:
        """A run of one process that nobody shares."""
        return (await self._migrated(shared=False))[0]

    async def migrated(self) -> tuple[Report, bool]:
        return await self._migrated(shared=True)

    async def _migrated(self, *, shared: bool) -> tuple[Report, bool]:
        tenant = await self.store.tenants.get(TENANT) or await self.store.tenants.create(TENANT)
        source, catalogue = Source(self.url), migration.declared("pms")
        opening = migration.keys(catalogue, [f"pii={sample.SAMPLE_KEY}"])
        ready = await migration.prepared(self.store, tenant, catalogue, source, opening=opening, options=OPTIONS)
        if not shared:
            return await ready.run(), False
        job, left = await begun(self.store.jobs, ready, [])
        report = await SharedRun(self.store.jobs, ready, job, rows=RANGE).work()
        source.close()
        return report, left

    async def everything(self) -> dict[str, Any]:
        """Each resource, state and record without times and counts of attempts."""
        found: dict[str, Any] = {}
        async for each in self.store.common.resources.find({"t": TENANT}):
            found[each["_id"]] = (each["del"], _content(bytes(each["body"])))
        for collection in (self.store.common.mappings, self.store.common.features):
            async for each in collection.find({"tenant_id": TENANT}):
                found[each["_id"]] = {name: value for name, value in each.items() if name not in PASSING}
        return found

    async def emptied(self) -> None:
        for collection in self.store.common.personal:
            await collection.delete_many({})

    async def begins(self) -> None:
        """Waits until the process at work has begun."""
        async with asyncio.timeout(60):
            while not await self.store.jobs.listed(TENANT, RUN):  # noqa: ASYNC110 - another process begins
                await asyncio.sleep(0.01)


def _content(body: bytes) -> bytes:
    """A Provenance says when its run began."""
    passing = (b"lastUpdated", b"versionId", b'"recorded"')
    return b",".join(part for part in body.split(b",") if not any(name in part for name in passing))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('killed') / 'pms.db'}"
    sample.write(url, rows=24, tenant="practice", seed=12)
    return url


@pytest.fixture(scope="module")
async def place(mongo_url: str, database_name: str, url: str) -> AsyncIterator[Place]:
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        yield Place(found, url)


@pytest.fixture(scope="module")
def environment(mongo_url: str, database_name: str) -> dict[str, str]:
    return {
        **os.environ,
        "FHIR_MONGO_URL": mongo_url,
        "FHIR_DATABASE": database_name,
        "FHIR_LEGACY_KEYS": f"pii={sample.SAMPLE_KEY}",
    }


def start(url: str, environment: dict[str, str], workers: int) -> subprocess.Popen[bytes]:
    args = ["--from", url, "-t", TENANT, "--page", str(PAGE), "--range", str(RANGE), "--workers", str(workers)]
    command = [sys.executable, "-m", "fhir_server.cli", "migrate", "run", *args, "--error-limit", "1", "--json"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def kill(process: subprocess.Popen[bytes], *, alone: bool) -> None:
    """The process that was started, with or without those that it started."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL) if alone else os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


async def test_a_killed_run_goes_on_and_leaves_the_same(place: Place, url: str, environment: dict[str, str]) -> None:
    started = time.monotonic()
    whole = await place.alone()
    usual = time.monotonic() - started
    expected = await place.everything()
    chance = random.Random(7)
    resumed = 0
    for round_ in range(KILLS):
        await place.emptied()
        process = start(url, environment, workers=1 + (round_ % 3 > 0))
        try:
            await place.begins()
            await asyncio.sleep(chance.uniform(0, usual * 1.2))
        finally:
            kill(process, alone=round_ % 3 == 2)
        report, left = await place.migrated()
        resumed += left
        assert {each.table: each.rows for each in report.tables} == {each.table: each.rows for each in whole.tables}
        assert all(each.rows == sum(each.counts.values()) for each in report.tables)
        assert await place.everything() == expected, f"round {round_}"
    assert resumed or KILLS < 5


async def test_processes_that_share_a_run_leave_the_same_as_one(
    place: Place, url: str, environment: dict[str, str]
) -> None:
    await place.emptied()
    await place.alone()
    expected = await place.everything()
    await place.emptied()
    process = start(url, environment, workers=2)
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    assert await place.everything() == expected
