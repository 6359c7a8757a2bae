"""A search that also, or only, finds contained resources: these come after the others.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from fhir_server.interactions.context import Context
from fhir_server.search.page import Position
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store.pages import Page

OWN, WITHIN = "own", "within"
"""Where a page ended: among what is stored by itself, or among what is contained."""


async def page(ctx: Context, query: Query, reached: Position | None) -> Page:
    """The next of what is stored by itself, where that is wanted; what is contained fills up the last page of it."""
    stage, *values = reached.values if reached else (OWN if query.contained == "both" else WITHIN,)
    if stage == WITHIN:
        return await _within(ctx, query, Page((), None), (values[0], values[1]) if values else None)
    position = Position(tuple(values)) if values else None
    own = await ctx.repo.search(plan(query, position, confined=ctx.repo.confined(query.resource_types)))
    if own.next:
        return Page(own.versions, Position((OWN, *own.next.values)))
    return await _within(ctx, query, own, None)


async def _within(ctx: Context, query: Query, before: Page, after: tuple[str, int] | None) -> Page:
    """One more than the page has room for says whether there is another page."""
    room = query.count - len(before.versions)
    containers = await ctx.repo.containers()
    rows = await containers.rows(query, after, room + 1)
    versions = (*before.versions, *(each.version for each in rows[:room]))
    if len(rows) <= room:
        return Page(versions, None)
    return Page(versions, Position((WITHIN, *(rows[room - 1].place if room else ()))))


async def count(ctx: Context, query: Query) -> int:
    """All of them, on all pages."""
    containers = await ctx.repo.containers()
    own = await ctx.repo.count(plan(query)) if query.contained == "both" else 0
    return own + await containers.count(query)
