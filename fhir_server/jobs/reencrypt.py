"""reencrypt: what older keys of a tenant have sealed, sealed by the current one, until nothing is left under them.

What is done is no longer found under the old key, so a process that dies leaves exactly the rest to the next. Another
process may seal with the old key for some seconds after it was replaced, and copy what it has read to the history: the
job counts again until there is nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Final

from fhir_server.jobs.running import Running
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.jobs import Job
from fhir_server.store.key_records import SEALED_ANEW, KeyRecords
from fhir_server.store.tenants import Tenant
from fhir_server.store.vault import CURRENT

KIND: Final = "reencrypt"
SETTLED: Final = CURRENT + 1.0
"""Seconds after which no process seals with a key that was replaced before."""
PAUSE: Final = 0.5
"""Seconds until what others may have sealed meanwhile is counted again."""
BROKEN: Final = "{} of what older keys have sealed does not open, and stays as it is: see the log, and restore it."


async def ask(store: Store, tenant: str, *, patients: bool = False) -> Job:
    """A job for one tenant; `patients` says that each patient gets another key as well."""
    for job in await store.jobs.listed(tenant, KIND):
        if job.open and bool(job.given["patients"]) == patients:
            return job
    return await store.jobs.add(tenant, KIND, {"patients": patients})


async def run(running: Running) -> None:
    """The patients' keys first, so that what they have sealed is counted with the rest."""
    await _Work(running, await running.store.tenants.latest(running.job.tenant)).done()


class _Work:
    """One job of one tenant."""

    def __init__(self, running: Running, tenant: Tenant) -> None:
        self._running = running
        self._patients: bool = running.job.given["patients"]
        self._versions = running.store.key_versions(tenant)
        self._bodies = running.store.reencryption(tenant)
        self._records = KeyRecords(running.store, tenant)

    async def done(self) -> None:
        while self._patients and await self._versions.renew_patients(self._running.job.created):
            await self._tell(0)
        settled = monotonic() + SETTLED
        while True:
            last = monotonic() > settled
            left, broken = await self._once()
            if last and left == broken:
                break
            if left == broken:
                await asyncio.sleep(PAUSE)
        if broken:
            raise StoreError(BROKEN.format(f"{broken:,}"))
        if self._running.job.done:
            await self._records.tell(SEALED_ANEW, "reencrypt", count=self._running.job.done)

    async def _once(self) -> tuple[int, int]:
        """How much there was to do, and how much of it does not open."""
        old = await self._versions.settle()
        groups = [old, *[group async for group in self._retired()]]
        left = sum([await self._bodies.count(group) for group in groups])
        await self._tell(0, left)
        broken = sum([await self._sealed_anew(group) for group in groups if left])
        for key_id in old:
            while wrapped := await self._versions.wrap_anew(key_id):
                left += wrapped
                await self._tell(0)
        return left, broken

    async def _retired(self) -> AsyncIterator[list[str]]:
        """Keys of patients that only open, some at a time."""
        after = ""
        while self._patients and (found := await self._versions.retired_patients(after)):
            yield found
            after = found[-1]

    async def _sealed_anew(self, key_ids: list[str]) -> int:
        """What does not open."""
        broken = 0
        for collection in self._bodies.collections:
            after: str | None = ""
            while after is not None:
                batch = await self._bodies.batch(collection, key_ids, after)
                after, broken = batch.reached, broken + batch.broken
                await self._tell(batch.done)
        return broken

    async def _tell(self, done: int, left: int | None = None) -> None:
        job = self._running.job
        total = job.total if left is None else job.done + left
        await self._running.advance(done=job.done + done, cursor=None, total=max(total, job.done + done))
