"""The most recent resources of each code, among all that a search finds."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from fhir_server.fhir.outcome import too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.pace import paced
from fhir_server.search.index import index
from fhir_server.search.plan import plan
from fhir_server.search.query import Query

MAX_LOOKED_AT: Final = 10_000
"""Resources that one call reads: the newest of a code may be anywhere among them."""

NEWEST: Final = (("_sort", "-date"), ("_count", "1000"))
"""What a query is to end with: its order, and as many at a time as a page can hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """A resource, when it took place, and its codes."""

    version: Version
    moment: datetime | None
    codes: frozenset[Hashable]


async def matches(ctx: Context, query: Query, element: str) -> list[Row]:
    """All that the query finds, the newest first; those without a time come last. `element` has their code."""
    return [_row(version, element) async for version in paced(await everything(ctx, query, MAX_LOOKED_AT))]


async def everything(ctx: Context, query: Query, most: int) -> list[Version]:
    """All pages of a search; more than so many are too costly."""
    query = await ctx.repo.resolved(query)
    page = await ctx.repo.search(plan(query))
    found = [*page.versions]
    while page.next is not None:
        if len(found) >= most:
            raise too_costly(f"More than {most:,} resources match; narrow them down by code or date.")
        page = await ctx.repo.search(plan(query, page.next))
        found += page.versions
    return found


def _row(version: Version, element: str) -> Row:
    resource = version.resource()
    return Row(version, index(resource).date, _codes(resource.get(element, {})))


def newest(rows: Sequence[Row], most: int) -> list[Version]:
    """Of each group so many, and those that took place at the same time as the last of them; in the order of the rows.

    Those without a time are no tie: nothing says that they took place together.
    """
    group_of = _groups(row.codes for row in rows)
    counts: dict[Hashable, int] = {}
    found = []
    for moment, together in groupby(rows, key=lambda row: row.moment):
        before = counts if moment is None else dict(counts)
        for row in together:
            group = group_of[next(iter(row.codes))]
            if before.get(group, 0) < most:
                found.append(row.version)
            counts[group] = counts.get(group, 0) + 1
    return found


def _codes(concept: Resource) -> frozenset[Hashable]:
    """What makes two codes equal: a coding in common, or the same text where there is no coding."""
    codings = {(each.get("system"), each["code"]) for each in concept.get("coding", ()) if "code" in each}
    return frozenset(codings) or frozenset({concept.get("text", "")})


def _groups(listed: Iterable[frozenset[Hashable]]) -> dict[Hashable, Hashable]:
    """The group of every code: translations are equal, and equality is transitive."""
    leaders: dict[Hashable, Hashable] = {}

    def leader(code: Hashable) -> Hashable:
        while leaders.setdefault(code, code) != code:
            leaders[code] = leaders[leaders[code]]
            code = leaders[code]
        return code

    for first, *rest in listed:
        for each in rest:
            leaders[leader(each)] = leader(first)
        leader(first)
    return {code: leader(code) for code in list(leaders)}
