"""The job of a Bundle that is answered later: its entries performed as by who sent it, each once.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from msgspec.structs import replace

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError, error, forbidden, outcome
from fhir_server.interactions import batch
from fhir_server.interactions.context import Context
from fhir_server.interactions.events import Asked as Account
from fhir_server.interactions.later import BATCHES, TOGETHER
from fhir_server.interactions.table import context, perform
from fhir_server.store.connection import Store
from fhir_server.store.deferred import Asked, Deferred
from fhir_server.store.jobs import Job
from fhir_server.store.recording import Recording
from fhir_server.store.standing import Standing
from fhir_server.store.tenants import Tenant

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
        work = _Work(running, tenant, await Standing(running.store).now(tenant, asked.caller), deferred, asked)
        await (_batch if asked.bundle["type"] == BATCHES else _transaction)(work)
        await deferred.keep(running.job, timedelta(seconds=seconds))

    return run


@dataclass(frozen=True, slots=True)
class _Work:
    """One Bundle and who has asked for it."""

    running: Running
    tenant: Tenant
    caller: Caller
    deferred: Deferred
    asked: Asked

    async def context(self, recording: Recording | None) -> Context:
        store = self.running.store
        return context(
            store.repository(self.tenant, self.caller, recording=recording),
            base=self.asked.base,
            cursor_key=await store.keys.cursor(self.tenant.name),
        )

    def account(self, method: str, url: str) -> Account:
        """What is done later is recorded when it is done, before its answer is kept."""
        name, store = self.tenant.name, self.running.store
        return Account(
            tenant=name,
            base=self.asked.base,
            request_id=f"async:{self.running.job.job_id}",
            method=method,
            url=url,
            key=lambda: store.keys.sealing(name),
            caller=self.caller,
            interaction=self.asked.bundle["type"],
        )

    def recording(self, account: Account) -> Recording | None:
        journal = self.running.store.journal
        return None if journal.off else Recording(journal, self.tenant, account)


async def _batch(work: _Work) -> None:
    """Entry by entry; what a process before this one has answered is not done again."""
    running, deferred = work.running, work.deferred
    outer, looked = _outer(running, work.asked), monotonic()
    place = running.job.cursor or 0
    while found := await deferred.entries(running.job, place, TOGETHER):
        for entry, known in found:
            if known is None:
                await deferred.answer(running.job, await _answered(work, outer, place, entry), place)
            place += 1
            if monotonic() - looked > STEP:
                await running.advance(done=place, cursor=place)
                looked = monotonic()
    await running.advance(done=place, cursor=place)


async def _answered(work: _Work, outer: EntryRequest, place: int, entry: Any) -> EntryResponse:
    asked = entry.get("request", {}) if isinstance(entry, dict) else {}
    recording = work.recording(work.account(str(asked.get("method", "")), str(asked.get("url", ""))))
    answer = await batch.answered(await work.context(recording), outer, place, entry)
    if recording is not None:
        await recording.tell()
    return answer


async def _transaction(work: _Work) -> None:
    """As a whole; its answer is kept with it, so that it is not done again by who takes the job over."""
    running, deferred, asked = work.running, work.deferred, work.asked
    account = work.account("POST", "")
    recording = work.recording(account)
    entries: list[Any] = []
    while found := await deferred.entries(running.job, len(entries), TOGETHER):
        entries += [entry for entry, _ in found]
    request = replace(_outer(running, asked), resource={**asked.bundle, **({"entry": entries} if entries else {})})
    try:
        answer = await perform(await work.context(recording), request)
    except FhirError as problem:
        if problem.status == 503:
            raise
        answer = EntryResponse(problem.status, json.encode(outcome(problem.issues)))
        account.status, account.refused = problem.status, problem.issues[0].code
    if recording is not None:
        await recording.tell()
    await deferred.answer(running.job, answer)
    await running.advance(done=len(entries), cursor=len(entries))


def _outer(running: Running, asked: Asked) -> EntryRequest:
    """Under a key, so that what was written before a process died is known to be done."""
    key = asked.idempotency_key or f"async:{running.job.job_id}"
    return EntryRequest("POST", "", asked.bundle, prefer=asked.prefer, idempotency_key=key)
