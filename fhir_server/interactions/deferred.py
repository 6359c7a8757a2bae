"""The job of a Bundle that is answered later: its entries performed as by who sent it, each once.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError, error, forbidden, outcome
from fhir_server.interactions import batch
from fhir_server.interactions.context import Context
from fhir_server.interactions.later import BATCHES, TOGETHER
from fhir_server.interactions.table import context, perform
from fhir_server.store.connection import Store
from fhir_server.store.deferred import Asked, Deferred
from fhir_server.store.jobs import Job
from fhir_server.store.standing import Standing

STEP = 0.1
"""Seconds of work between two signs of progress."""


class Running(Protocol):
    """A job in the hands of a process."""

    store: Store
    job: Job

    async def advance(self, *, done: int, cursor: Any, total: int | None = None) -> None: ...


def kept_for(seconds: int) -> Callable[[Running], Awaitable[None]]:
    """The job, its answer kept for so long."""

    async def run(running: Running) -> None:
        tenant = await running.store.tenants.latest(running.job.tenant)
        deferred = running.store.deferred(tenant)
        asked = await deferred.asked(running.job)
        if asked is None:
            raise error("processing", "What was asked is not there any more.")
        if not tenant.active:
            raise forbidden("This tenant is suspended.")
        ctx = context(
            running.store.repository(tenant, await Standing(running.store).now(tenant, asked.caller)),
            base=asked.base,
            cursor_key=await running.store.keys.cursor(tenant.name),
        )
        done = _batch if asked.bundle["type"] == BATCHES else _transaction
        await done(running, ctx, deferred, asked)
        await deferred.keep(running.job, timedelta(seconds=seconds))

    return run


async def _batch(running: Running, ctx: Context, deferred: Deferred, asked: Asked) -> None:
    """Entry by entry; what a process before this one has answered is not done again."""
    outer, looked = _outer(running, asked), monotonic()
    place = running.job.cursor or 0
    while found := await deferred.entries(running.job, place, TOGETHER):
        for entry, known in found:
            if known is None:
                answer = await batch.answered(ctx, outer, place, entry)
                await deferred.answer(running.job, answer, place)
            place += 1
            if monotonic() - looked > STEP:
                await running.advance(done=place, cursor=place)
                looked = monotonic()
    await running.advance(done=place, cursor=place)


async def _transaction(running: Running, ctx: Context, deferred: Deferred, asked: Asked) -> None:
    """As a whole; its answer is kept with it, so that it is not done again by who takes the job over."""
    entries: list[Any] = []
    while found := await deferred.entries(running.job, len(entries), TOGETHER):
        entries += [entry for entry, _ in found]
    request = replace(_outer(running, asked), resource={**asked.bundle, **({"entry": entries} if entries else {})})
    try:
        answer = await perform(ctx, request)
    except FhirError as problem:
        if problem.status == 503:
            raise
        answer = EntryResponse(problem.status, json.encode(outcome(problem.issues)))
    await deferred.answer(running.job, answer)
    await running.advance(done=len(entries), cursor=len(entries))


def _outer(running: Running, asked: Asked) -> EntryRequest:
    """Under a key, so that what was written before a process died is known to be done."""
    key = asked.idempotency_key or f"async:{running.job.job_id}"
    return EntryRequest("POST", "", asked.bundle, prefer=asked.prefer, idempotency_key=key)
