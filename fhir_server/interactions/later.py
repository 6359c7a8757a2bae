"""Prefer: respond-async: a Bundle or a search is taken in, done by a job, and its answer fetched when it is there.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fhir_server.fhir import bundle
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import error, not_supported
from fhir_server.interactions import bundled, steps
from fhir_server.interactions.context import Context, Interaction
from fhir_server.store.deferred import Asked, Deferred
from fhir_server.store.jobs import Job

PREFERENCE: Final = "respond-async"
PLACE: Final = "_async"
APPLIED = ("Preference-Applied", PREFERENCE)
RETRY = ("Retry-After", "1")
BATCHES = "batch"
BUNDLES = frozenset({BATCHES, "transaction"})
SEARCHES = frozenset({"search-type", "search-system"})
OPERATION = ("operation", "GET")
"""By GET none changes anything. https://hl7.org/fhir/R4/operations.html#request"""
TOGETHER = 200
"""Entries that are read at a time."""


def deferred(entry: EntryRequest, interaction: Interaction) -> EntryRequest | None:
    """The Bundle that is to be answered later: the posted one, or a batch of the one thing that is asked."""
    if PREFERENCE not in entry.prefer:
        return None
    if interaction.code in BUNDLES:
        return entry
    if interaction.code not in SEARCHES and (interaction.code, interaction.method) != OPERATION:
        return None
    alone = {"request": {"method": entry.method, "url": entry.url}}
    return replace(entry, resource={"resourceType": "Bundle", "type": BATCHES, "entry": [alone]})


async def accepted(ctx: Context, entry: EntryRequest) -> EntryResponse:
    """202 once everything is stored; a Bundle that cannot be taken apart is refused at once."""
    posted = entry.resource or {}
    listed = bundled.entries(ctx, entry)
    if posted["type"] != BATCHES:
        await steps.of_bundle(ctx, entry)
    outside = {name: value for name, value in posted.items() if name != "entry"}
    asked = Asked(outside, ctx.repo.caller, ctx.base, entry.prefer - {PREFERENCE}, entry.idempotency_key)
    job = await _deferred(ctx).add(asked, listed)
    return EntryResponse(202, location=f"{PLACE}/{job.job_id}", headers=(RETRY, APPLIED))


async def status(ctx: Context, _: EntryRequest, job_id: str) -> EntryResponse:
    """How far it is, or the answer. https://hl7.org/fhir/R4/async.html#3.1.6.4"""
    job = await _deferred(ctx).job(job_id, ctx.repo.caller)
    if job.open:
        return EntryResponse(202, headers=(("X-Progress", job.progress), RETRY))
    if job.state == "failed":
        raise error("exception", f"The request could not be answered: {job.error}")
    return await _answer(_deferred(ctx), job)


async def cancel(ctx: Context, _: EntryRequest, job_id: str) -> EntryResponse:
    """Entries that are done stay done; nothing of the answer is kept. https://hl7.org/fhir/R4/async.html#3.1.6.3"""
    deferred = _deferred(ctx)
    job = await deferred.job(job_id, ctx.repo.caller)
    await deferred.jobs.cancel(job)
    await deferred.remove(job)
    return EntryResponse(202)


async def _answer(deferred: Deferred, job: Job) -> EntryResponse:
    asked = await deferred.asked(job)
    if asked is not None and asked.answer is not None:
        return asked.answer
    answers: list[EntryResponse] = []
    while len(answers) < job.total:
        found = [answer for _, answer in await deferred.entries(job, len(answers), TOGETHER) if answer]
        if not found:
            raise error("not-found", "The answer is not kept any longer.")
        answers += found
    return EntryResponse(200, bundle.response("batch-response", answers), resource_type="Bundle")


def _deferred(ctx: Context) -> Deferred:
    found = ctx.repo.deferred
    if found is None:
        raise not_supported("Nothing is answered later here.", status=501)
    return found


ROWS: Final = (
    Interaction("async", "GET", f"{PLACE}/{{job_id}}", None, status),
    Interaction("async", "DELETE", f"{PLACE}/{{job_id}}", None, cancel),
)
"""Not interactions of R4's table: the place that `Content-Location` names."""
