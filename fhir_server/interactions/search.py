"""search: of one type, of the whole system, or of what is in a compartment.  https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import Issue, error, not_supported
from fhir_server.interactions import codes, contained, cursor, explanation, suppressed
from fhir_server.interactions.context import Context
from fhir_server.search import compartment, joins
from fhir_server.search.bundle import searchset
from fhir_server.search.page import Position
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store.pages import Included, Page


async def by_type(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    return await _answer(ctx, entry, resource_type, await _query(ctx, entry, (resource_type,)))


async def by_system(ctx: Context, entry: EntryRequest) -> EntryResponse:
    return await _answer(ctx, entry, "", await _query(ctx, entry, ()))


async def in_compartment(
    ctx: Context, entry: EntryRequest, compartment_type: str, compartment_id: str, resource_type: str
) -> EntryResponse:
    """Of one type. https://hl7.org/fhir/R4/http.html#vsearch"""
    if resource_type not in compartment.members(compartment_type):
        raise error("not-found", f"No {resource_type} is in the compartment of a {compartment_type}.")
    query = await _query(ctx, entry, (resource_type,))
    query = await _within(ctx, query, compartment_type, compartment_id)
    return await _answer(ctx, entry, f"{compartment_type}/{compartment_id}/{resource_type}", query)


async def whole_compartment(
    ctx: Context, entry: EntryRequest, compartment_type: str, compartment_id: str
) -> EntryResponse:
    """Of the types in `_type`, or of all that the caller may search."""
    query = await _query(ctx, entry, compartment.members(compartment_type))
    if not any(name == "_type" for name, _ in query.applied):
        query = replace(query, resource_types=ctx.repo.searchable(query.resource_types))
    query = await _within(ctx, query, compartment_type, compartment_id)
    return await _answer(ctx, entry, f"{compartment_type}/{compartment_id}/*", query)


async def _within(ctx: Context, query: Query, compartment_type: str, compartment_id: str) -> Query:
    if query.contained != "false":
        raise not_supported("_contained is not supported in a compartment: contained resources are in none.")
    if await ctx.repo.may_enter(compartment_type, compartment_id):
        return joins.narrowed(query, compartment.within(compartment_type, compartment_id, query.resource_types))
    return joins.narrowed(query, compartment.nothing())


async def _query(ctx: Context, entry: EntryRequest, resource_types: tuple[str, ...]) -> Query:
    return await codes.parsed(ctx, resource_types, entry.query, lenient="handling=lenient" in entry.prefer)


async def _answer(ctx: Context, entry: EntryRequest, path: str, asked_for: Query) -> EntryResponse:
    if asked_for.explain:
        return await explanation.answer(ctx, asked_for)
    asked = f"{path}?{asked_for.self_link()}"
    token = cursor.of(entry)
    reached = cursor.opened(ctx, asked, token)
    found = await ctx.repo.followed(asked_for, reached)
    query = asked_for if isinstance(found, Page) else found
    page = found if isinstance(found, Page) else await _page(ctx, query, reached)
    included = await ctx.repo.included(page.versions, query.includes, ctx.limits.included)
    body = searchset(
        query,
        page.versions,
        base=ctx.base,
        self_link=cursor.page_url(ctx, asked, token),
        included=included.versions,
        next_link=cursor.link(ctx, asked, page.next) if page.next else None,
        total=await _total(ctx, query, page if reached is None else None),
        issues=[*_left_out(included), *await suppressed.told(ctx, query, reached)],
    )
    return EntryResponse(200, body, resource_type="Bundle")


def _left_out(included: Included) -> list[Issue]:
    """Said in an outcome entry: what is not whole is not presented as whole."""
    if included.complete:
        return []
    text = f"More resources accompany these matches than the {len(included.versions):,} that are included."
    return [Issue("incomplete", f"{text} Ask for a smaller page, or for fewer of them.", severity="warning")]


async def _page(ctx: Context, query: Query, reached: Position | None) -> Page:
    """Nothing is read where only the number of matches is wanted."""
    if query.counts_only:
        return Page((), None)
    if query.contained != "false":
        return await contained.page(ctx, query, reached)
    return await ctx.repo.search(plan(query, reached, confined=ctx.repo.confined(query.resource_types)))


async def _total(ctx: Context, query: Query, first: Page | None) -> int | None:
    """The number of matches where it is asked for, or known because they all fit on the first page.

    https://hl7.org/fhir/R4/search.html#total
    """
    if query.total == "none" and not query.counts_only:
        return None
    if first is not None and first.next is None and not query.counts_only:
        return len(first.versions)
    if not (query.counts_only or query.total):
        return None
    return await (contained.count(ctx, query) if query.contained != "false" else ctx.repo.count(plan(query)))
