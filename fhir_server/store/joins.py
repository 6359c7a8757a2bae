"""Conditions on other resources, run from the inside out: each becomes a list of ids, whole or refused.

Every query on the way holds the tenant and what the caller may see of its types; a type that the caller may not search
is refused before the first of them. https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import too_costly
from fhir_server.search import joins, logic
from fhir_server.search.joins import Keys
from fhir_server.search.page import Position
from fhir_server.search.plan import plan
from fhir_server.search.query import Criterion, Join, Query
from fhir_server.store import walk
from fhir_server.store.matches import Matches
from fhir_server.store.walk import Found, Walk

MOST = 10_000
"""Resources that one step may lead to; where both sides have more, the search is refused."""

MOST_NAMES = 1_000
"""Definitions that a step along canonical URLs may lead to: each of them makes a condition of its own."""


@dataclass(frozen=True, slots=True)
class Joins:
    """Resolves the queries of one caller."""

    matches: Matches
    most: int = MOST

    async def resolved(self, query: Query) -> Query:
        """The same query without conditions on other resources; it finds the same."""
        for each in joins.queries(query):
            self.matches.where.permitted(each.resource_types, Right.SEARCH)
        return await self._resolved(query)

    async def found(self, query: Query, position: Position | None, *, confined: bool) -> Found | Query:
        """A page that is found by walking; else the query as `resolved` has it. Who sees few of them walks none."""
        if not confined:
            way = await self._way(query)
            walked = await way.page(position) if isinstance(way, Walk) else way
            if walked is not None:
                return walked
        return await self.resolved(query)

    async def _way(self, query: Query) -> Walk | Query:
        """The same query as `resolved` has it or, where its chain leads to many resources, a walk to find its page."""
        join = walk.open_join(query)
        if join is None:
            return await self.resolved(query)
        for each in joins.queries(query):
            self.matches.where.permitted(each.resource_types, Right.SEARCH)
        source = await self._resolved(join.source)
        way = Walk(self.matches, query, join, source)
        if not way.possible:
            return await self._resolved(query)
        if joins.expected(joins.plain(query)) < joins.expected(source):
            return way
        few = await self.matches.keys(plan(source), walk.FEW)
        if few is None:
            return way
        criterion = joins.joined(query)[0]
        return joins.narrowed(joins.plain(query), joins.resolved(query, criterion, join, few))

    async def _resolved(self, query: Query) -> Query:
        found = joins.plain(query)
        for each in joins.joined(query):
            found = joins.narrowed(found, await self._plain(found, each))
        return found

    async def _plain(self, query: Query, criterion: Criterion) -> Criterion:
        """The criterion, or those that it is made of, without conditions on other resources."""
        if criterion.join:
            return await self._followed(query, criterion, criterion.join)
        if criterion.logic and criterion.joins:
            parts = [await self._plain(query, each) for each in criterion.logic.parts]
            return logic.combined(criterion.logic.operator, parts)
        return criterion

    async def _followed(self, query: Query, criterion: Criterion, join: Join) -> Criterion:
        """From the side that is likely to find less; from the other one if that finds too much."""
        source = await self._resolved(join.source)
        sides = self._sides(query, source, join)
        if joins.expected(query) < joins.expected(source):
            sides.reverse()
        for side in sides:
            others = await side()
            if others is not None:
                return joins.resolved(query, criterion, join, others)
        raise too_costly(
            f"The condition through '{join.code}' leads to more than {self.most:,} resources. "
            "Please narrow it, or the search, with further parameters.",
            status=422,
        )

    def _sides(self, query: Query, source: Query, join: Join) -> list[Callable[[], Awaitable[Keys | None]]]:
        """From the other resources, and from the other conditions of the search."""
        if join.canonical:
            return [partial(self._names, source), partial(self._named, query, source, join)]
        return [partial(self._from_source, source, join), partial(self._from_query, query, source, join)]

    async def _from_source(self, source: Query, join: Join) -> Keys | None:
        """What the other resources are, or what they refer to."""
        if join.reverse:
            return await self.matches.targets(plan(source), join.code, join.own, self.most)
        return await self.matches.keys(plan(source), self.most)

    async def _from_query(self, query: Query, source: Query, join: Join) -> Keys | None:
        """The same, of what the other conditions of the search leave."""
        if join.reverse:
            own = await self.matches.keys(plan(query), self.most)
            if own is None:
                return None
            referring = joins.referring_to(source, join.code, own)
            found = await self.matches.targets(plan(referring), join.code, join.own, self.most + len(own))
            return None if found is None else found & own
        referred = await self.matches.targets(plan(query), join.code, source.resource_types, self.most)
        if referred is None:
            return None
        found = await self.matches.keys(plan(joins.those(source, referred)), self.most)
        return None if found is None else found & referred

    async def _names(self, source: Query) -> Keys | None:
        """The canonical URLs of the other resources."""
        return await self.matches.canonicals(plan(source), min(self.most, MOST_NAMES))

    async def _named(self, query: Query, source: Query, join: Join) -> Keys | None:
        """The same, of those that what the other conditions of the search leave names."""
        names = await self.matches.named(plan(query), join.code, self.most)
        return None if names is None else await self._names(joins.named(source, names))
