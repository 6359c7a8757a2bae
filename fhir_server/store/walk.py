"""A chain to something that many resources are, such as a popular name, without a list of them all.

The resources searched for are walked in their own order, and of each stretch it is looked up which refer to a match.
The cost follows the page, not the number of matches; where too few refer to one, the walk is given up.
https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.search import joins, phases
from fhir_server.search.order import NEWEST_FIRST, specification
from fhir_server.search.page import Position
from fhir_server.search.plan import MERGED, Plan, plan
from fhir_server.search.query import Join, Query
from fhir_server.store.layout import Document
from fhir_server.store.matches import Matches

FEW: Final = MERGED
"""So many other resources are listed: MongoDB has the order of what refers to them for nothing."""

STRETCH: Final = 8
"""Times a page: what is looked at first."""

FURTHEST: Final = 5_000
"""Resources that may have to be looked at for one page."""

Found = tuple[list[Document], Position | None]


def open_join(query: Query) -> Join | None:
    """The chain of a query that has one and nothing else that needs others, and of which a page is wanted."""
    joined = joins.joined(query)
    join = joined[0].join if len(joined) == 1 else None
    if join is None or join.reverse or join.canonical or len(query.resource_types) != 1:
        return None
    if query.total in ("estimate", "accurate") or query.counts_only or query.contained != "false":
        return None
    # What the index that is walked cannot decide might be met by nothing for a long way.
    decided = phases.main_date(query)
    others = joins.plain(query).criteria
    return join if all(each.term.points or each.parameter.code == decided for each in others) else None


@dataclass(frozen=True, slots=True)
class Walk:
    """One search through one chain; `source` finds the others and is plain."""

    matches: Matches
    query: Query
    join: Join
    source: Query

    @property
    def possible(self) -> bool:
        """Where one order holds for all of it, an index has it, and it is not sorted after it was found."""
        order = specification(NEWEST_FIRST)
        return all(each.sort == order and not each.pipeline for each in _parts(self.plan(None, 1)))

    def plan(self, position: Position | None, count: int) -> Plan:
        """The order is that of the search with its chain; the chain asks nothing yet."""
        found = plan(replace(joins.undecided(self.query), count=count), position)
        hint = "tok" if any(each.term.points for each in joins.plain(self.query).criteria) else "order"
        return _reading(found, hint)

    async def page(self, position: Position | None) -> Found | None:
        """The documents of a page and where it ended; None where it is not worth walking."""
        taken: list[Document] = []
        known: dict[str, bool] = {}
        most, looked = self.query.count, 0
        size = STRETCH * (most + 1)
        while True:
            stretch = self.plan(position, size)
            documents, position = await self.matches.page(stretch)
            taken += await self._referring(documents, known)
            looked += len(documents)
            if len(taken) > most:
                return taken[:most], stretch.position_of(taken[most - 1])
            if position is None:
                return taken, None
            expected = (most + 1) * looked // max(len(taken), 1)
            if not taken or expected > FURTHEST or looked > FURTHEST:
                return None
            size = max(expected - looked, most)

    async def _referring(self, documents: Sequence[Document], known: dict[str, bool]) -> list[Document]:
        """Those that refer to a match; what was looked up for an earlier stretch is known."""
        referred = [self._referred(each) for each in documents]
        asked = frozenset(key for keys in referred for key in keys if key not in known)
        found = await self.matches.keys(plan(joins.those(self.source, asked)), len(asked)) if asked else frozenset()
        known.update((key, key in (found or ())) for key in asked)
        return [each for each, keys in zip(documents, referred, strict=True) if any(known[key] for key in keys)]

    def _referred(self, document: Document) -> list[str]:
        """What it refers to by the parameter of the chain, of the types of the others."""
        start = f"{self.join.code}="
        named = [each[len(start) :] for each in document["tok"] if each.startswith(start)]
        types = self.source.resource_types
        return [each for each in named if each.count("/") == 1 and each.partition("/")[0] in types]


def _parts(found: Plan | None) -> list[Plan]:
    return [found, *_parts(found.then)] if found else []


def _reading(found: Plan, hint: str) -> Plan:
    """The same in the order of an index, with the entries that references are in."""
    then = _reading(found.then, hint) if found.then else None
    return replace(found, projection=(*found.projection, "tok"), hint=found.hint or hint, then=then)
