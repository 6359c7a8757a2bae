"""batch: entries that stand for themselves, each with its own answer.  https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from msgspec.structs import replace

from fhir_server.fhir import bundle, json
from fhir_server.fhir.bundle import Entry
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError, outcome
from fhir_server.interactions import bundled
from fhir_server.interactions.context import Context


async def run(ctx: Context, entry: EntryRequest) -> EntryResponse:
    answers = [await answered(ctx, entry, place, each) for place, each in enumerate(bundled.entries(ctx, entry))]
    return EntryResponse(200, bundle.response("batch-response", answers), resource_type="Bundle")


def _key(outer: EntryRequest, place: int) -> str | None:
    """Each entry is done once, whichever of them were done when the batch is sent again."""
    return None if outer.idempotency_key is None else f"{outer.idempotency_key}[{place}]"


async def answered(ctx: Context, outer: EntryRequest, place: int, entry: Entry) -> EntryResponse:
    """The answer of one entry, or its refusal in the place of one."""
    try:
        request = replace(bundled.request_of(ctx, outer, entry), idempotency_key=_key(outer, place))
        return bundled.without_body_for_head(request, await _performed(ctx, request))
    except FhirError as problem:
        return EntryResponse(problem.status, json.encode(outcome(problem.issues)))


async def _performed(ctx: Context, request: EntryRequest) -> EntryResponse:
    """What it shows and writes is recorded of the batch; what it writes also of itself, with the write."""
    inside = ctx.inside(await ctx.repo.part())
    answer = await ctx.perform(inside, request)
    if ctx.repo.recording is not None and inside.repo.recording is not None:
        ctx.repo.recording.trail.follow(inside.repo.recording.trail)
    return answer
