"""search: of one type, or of the whole system.  https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.interactions import cursor
from fhir_server.interactions.context import Context
from fhir_server.search.bundle import searchset
from fhir_server.search.page import Position
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store.repository import Page


async def by_type(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    return await _answer(ctx, entry, resource_type, (resource_type,))


async def by_system(ctx: Context, entry: EntryRequest) -> EntryResponse:
    return await _answer(ctx, entry, "", ())


async def _answer(ctx: Context, entry: EntryRequest, path: str, resource_types: tuple[str, ...]) -> EntryResponse:
    query = parse(
        resource_types,
        entry.query,
        lenient="handling=lenient" in entry.prefer,
        base=ctx.base,
        max_count=ctx.limits.max_count,
        default_count=ctx.limits.default_count,
    )
    asked = f"{path}?{query.self_link()}"
    token = cursor.of(entry)
    reached = cursor.opened(ctx, asked, token)
    page = await _page(ctx, query, reached)
    body = searchset(
        query,
        page.versions,
        base=ctx.base,
        self_link=cursor.page_url(ctx, asked, token),
        next_link=cursor.link(ctx, asked, page.next) if page.next else None,
        total=await _total(ctx, query, page if reached is None else None),
    )
    return EntryResponse(200, body, resource_type="Bundle")


async def _page(ctx: Context, query: Query, reached: Position | None) -> Page:
    """Nothing is read where only the number of matches is wanted."""
    return Page((), None) if query.counts_only else await ctx.repo.search(plan(query, reached))


async def _total(ctx: Context, query: Query, first: Page | None) -> int | None:
    """The number of matches where it is asked for, or known because they all fit on the first page.

    https://hl7.org/fhir/R4/search.html#total
    """
    if query.total == "none" and not query.counts_only:
        return None
    if first is not None and first.next is None and not query.counts_only:
        return len(first.versions)
    return await ctx.repo.count(plan(query)) if query.counts_only or query.total else None
