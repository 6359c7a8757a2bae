"""delete: a tombstone in place of the current version; conditional delete.  https://hl7.org/fhir/R4/http.html#delete"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import multiple_matches, precondition_failed
from fhir_server.interactions import answers, conditions, preconditions
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository


async def run(ctx: Context, entry: EntryRequest, resource_type: str, resource_id: str) -> EntryResponse:
    expected = preconditions.expected_version(entry)
    tombstone = await ctx.repo.delete(resource_type, resource_id, expected=expected)
    answer = EntryResponse(204, resource_type=resource_type, resource_id=resource_id)
    if tombstone is not None:
        answer = replace(answer, etag=tombstone.etag, last_modified=tombstone.last_updated)
    said = "has been deleted" if tombstone is not None else "was not there"
    return _said(entry, answer, f"{resource_type}/{resource_id} {said}.")


async def conditional(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    """The one match, or all where the tenant wants it so. https://hl7.org/fhir/R4/http.html#3.1.0.7.1"""

    async def the_matches(repo: Repository) -> EntryResponse:
        inside = ctx.inside(repo)
        return await each(inside, entry, resource_type, await identified(inside, entry, resource_type))

    return await ctx.repo.transaction(the_matches)


async def identified(ctx: Context, entry: EntryRequest, resource_type: str) -> list[str]:
    """The ids of what a conditional delete deletes."""
    if ctx.setting("conditional_delete") == "multiple":
        found = [each.resource_id for each in await conditions.matches(ctx, resource_type, entry.query)]
    else:
        existing = await conditions.match(ctx, resource_type, entry.query)
        found = [] if existing is None else [existing.resource_id]
    if entry.if_match is None:
        return found
    if not found:
        raise precondition_failed(f"If-Match is {entry.if_match}, but no {resource_type} matches the criteria.")
    if len(found) > 1:
        raise multiple_matches(f"If-Match is {entry.if_match}, but {len(found)} {resource_type} match the criteria.")
    return found


async def each(ctx: Context, entry: EntryRequest, resource_type: str, ids: Sequence[str]) -> EntryResponse:
    """One match is answered as if it had been named."""
    if len(ids) == 1:
        return await run(ctx, entry, resource_type, ids[0])
    deleted = [await ctx.repo.delete(resource_type, resource_id) for resource_id in ids]
    count = len(deleted) - deleted.count(None)
    return _said(entry, EntryResponse(204), f"{count} {resource_type} have been deleted.")


def _said(entry: EntryRequest, answer: EntryResponse, message: str) -> EntryResponse:
    if "return=operationoutcome" not in entry.prefer:
        return answer
    return replace(answer, status=200, body=answers.said(message), resource_type=None)
