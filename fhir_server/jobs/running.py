"""A job in the hands of this process: its progress, its pace, and its lease as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.jobs import ATTEMPTS, LEASE, Job, LeaseLost

log = logging.getLogger(__name__)

BEAT = LEASE.total_seconds() / 3
PAUSE = 1.0
"""Seconds before what was refused for the moment is tried again."""
SHARE = 0.5
"""Of the time of a process that also answers requests."""


class Running:
    """What a kind of job is given: the job as it stands, and `advance` after each step."""

    def __init__(self, store: Store, job: Job, share: float = 1.0) -> None:
        self.store = store
        self.job = job
        self._share = share
        self._began, self._done_before = monotonic(), job.done
        self._stepped = self._began

    async def advance(self, *, done: int, cursor: Any, total: int | None = None) -> None:
        """Keeps how far the work is; then others get their turn. Raises `LeaseLost` where it is to stop."""
        elapsed = max(monotonic() - self._began, 0.001)
        progress: dict[str, Any] = {
            "done": done,
            "total": self.job.total if total is None else total,
            "cursor": cursor,
            "rate": (done - self._done_before) / elapsed,
        }
        await self.store.jobs.advance(self.job, **progress)
        self.job = replace(self.job, **progress)
        await asyncio.sleep((monotonic() - self._stepped) * (1 / self._share - 1))
        self._stepped = monotonic()


Run = Callable[[Running], Awaitable[None]]
Kinds = Mapping[str, Run]


async def run(store: Store, job: Job, work: Run, share: float = 1.0) -> None:
    """The job to its end, unless another process takes it over or it is cancelled."""
    try:
        if job.attempts > ATTEMPTS:
            await store.jobs.end(job, "failed", f"It was taken up {ATTEMPTS} times and did not get on.")
        else:
            await _ended(store, job, await _outcome(store, job, work, share))
    except LeaseLost:
        log.info("A job of the kind %s was cancelled or taken over.", job.kind)


async def _outcome(store: Store, job: Job, work: Run, share: float) -> FhirError | StoreError | Exception | None:
    """What the work failed with, if anything."""
    working = asyncio.ensure_future(work(Running(store, job, share)))
    beating = asyncio.create_task(_beat(store, job))
    try:
        await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
        if beating.done():
            beating.result()
        return working.exception()  # type: ignore[return-value]
    finally:
        for each in (working, beating):
            each.cancel()
        await asyncio.gather(working, beating, return_exceptions=True)


async def _beat(store: Store, job: Job) -> None:
    """A step may take longer than the lease; only the end of the process ends this."""
    while True:
        await asyncio.sleep(BEAT)
        try:
            await store.jobs.advance(job)
        except FhirError as problem:
            log.warning("The lease of a job could not be renewed: %s", problem)


async def _ended(store: Store, job: Job, problem: BaseException | None) -> None:
    if isinstance(problem, LeaseLost):
        raise problem
    if problem is None:
        await store.jobs.end(job, "finished")
    elif isinstance(problem, FhirError) and problem.status == 503:
        await store.jobs.release(job)
        await asyncio.sleep(PAUSE)
    elif isinstance(problem, FhirError | StoreError):
        await store.jobs.end(job, "failed", str(problem))
    else:
        log.error("A job of the kind %s failed.", job.kind, exc_info=problem)
        await store.jobs.end(job, "failed", "Something went wrong inside the server; its log says what.")
