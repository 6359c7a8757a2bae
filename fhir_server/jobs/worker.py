"""The worker of a process that serves: takes one waiting job after the other.  The jobs' own process is `cli`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs.running import SHARE, Kinds, run
from fhir_server.store.connection import Store
from fhir_server.store.jobs import LeaseLost, new_owner
from fhir_server.store.tasks import beside

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds until a job of another process is noticed."""


@asynccontextmanager
async def working(store: Store, kinds: Kinds) -> AsyncIterator[None]:
    """Jobs are done beside whatever else happens; what is under way in the end is left to others."""
    async with beside(_work(store, kinds, new_owner())):
        yield


async def _work(store: Store, kinds: Kinds, owner: str) -> None:
    while True:
        try:
            if await one(store, kinds, owner):
                continue
        except FhirError as problem:
            log.warning("Jobs have to wait: %s", problem)
        await _noticed(store)


async def one(store: Store, kinds: Kinds, owner: str, share: float = SHARE) -> bool:
    """Whether there was a job to do."""
    store.jobs.added.clear()
    job = await store.jobs.take(kinds, owner)
    if job is None:
        return False
    try:
        await run(store, job, kinds[job.kind], share)
    except asyncio.CancelledError:
        with suppress(LeaseLost):
            await store.jobs.release(job)
        raise
    return True


async def _noticed(store: Store) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL):
            await store.jobs.added.wait()
