"""delete: a tombstone in place of the current version; conditional delete of one.  https://hl7.org/fhir/R4/http.html#delete"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import precondition_failed
from fhir_server.interactions import answers, conditions, preconditions
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository


async def run(ctx: Context, entry: EntryRequest, resource_type: str, resource_id: str) -> EntryResponse:
    expected = preconditions.expected_version(entry)
    tombstone = await ctx.repo.delete(resource_type, resource_id, expected=expected)
    answer = EntryResponse(204, resource_type=resource_type, resource_id=resource_id)
    if tombstone is not None:
        answer = replace(answer, etag=tombstone.etag, last_modified=tombstone.last_updated)
    if "return=operationoutcome" not in entry.prefer:
        return answer
    said = "has been deleted" if tombstone is not None else "was not there"
    return replace(answer, status=200, body=answers.said(f"{resource_type}/{resource_id} {said}."), resource_type=None)


async def conditional(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    """At most one match: several are refused. https://hl7.org/fhir/R4/http.html#3.1.0.7.1"""

    async def the_match(repo: Repository) -> EntryResponse:
        inside = ctx.inside(repo)
        existing = await conditions.match(inside, resource_type, entry.query)
        if existing is not None:
            return await run(inside, entry, resource_type, existing.resource_id)
        if entry.if_match is not None:
            raise precondition_failed(f"If-Match is {entry.if_match}, but no {resource_type} matches the criteria.")
        return EntryResponse(204)

    return await ctx.repo.transaction(the_match)
