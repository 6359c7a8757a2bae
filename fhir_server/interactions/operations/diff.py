"""$diff: what changed between two versions, or sets two resources of a type apart, as a FHIRPath Patch.
https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

import asyncio

from fhir_server.fhir import diff, json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import bad_value, error, invalid, too_costly
from fhir_server.fhir.patch import MAX_OPERATIONS
from fhir_server.fhir.resource import LOCAL_REFERENCE
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.operation import Call

LONG_BYTES = 65_536
"""Resources of this size take long enough to be compared beside the event loop."""


async def of_instance(ctx: Context, call: Call) -> EntryResponse:
    """The current version compared with an earlier one: `fromVersion`, or the one before."""
    current = await ctx.repo.current(call.resource_type, call.resource_id)
    before = call.given.one("fromVersion") or str(current.version_id - 1)
    if before == "0":
        raise error("not-found", f"{call.entry.path.rpartition('/')[0]} has only one version: nothing to compare with.")
    return await _answer(call, await ctx.repo.at(call.resource_type, call.resource_id, before), current)


async def of_two(ctx: Context, call: Call) -> EntryResponse:
    """Any two of one type; without a version the current one is meant."""
    before, after = [await _named(ctx, name, call.given.one(name)) for name in ("from", "to")]
    if before.resource_type != after.resource_type:
        raise invalid(f"'from' is a {before.resource_type} and 'to' a {after.resource_type}; both must be of one type.")
    return await _answer(call, before, after)


async def _named(ctx: Context, name: str, text: str) -> Version:
    found = LOCAL_REFERENCE.match(text.removeprefix(f"{ctx.base}/"))
    if found is None:
        raise bad_value(f"'{name}' is '{text[:100]}'; a resource of this server is needed, as Patient/1/_history/2.")
    if found[3]:
        return await ctx.repo.at(found[1], found[2], found[3])
    return await ctx.repo.current(found[1], found[2])


async def _answer(call: Call, before: Version, after: Version) -> EntryResponse:
    meta = call.given.one("includeMeta") is True
    states = before.resource(), after.resource()
    if len(before.body) + len(after.body) < LONG_BYTES:
        patch = diff.between(*states, meta=meta)
    else:
        patch = await asyncio.to_thread(diff.between, *states, meta=meta)
    count = len(patch.get("parameter", ()))
    if count > MAX_OPERATIONS:
        raise too_costly(f"The two differ in {count:,} places; a patch has at most {MAX_OPERATIONS:,} operations.")
    return parameters.resource(json.encode(patch), "Parameters")
