"""What accompanies the matches of a page: resources they refer to, and resources that refer to them.

Candidates are asked for like any search, so that one the caller may not see takes no place; types the caller may not
search are left out silently. https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError
from fhir_server.search.include import Include, Key
from fhir_server.store.database import Database, Held, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document
from fhir_server.store.matches import SLOWEST
from fhir_server.store.where import Where

ROUNDS = 10
"""How often `:iterate` goes on from what the round before has found."""

Candidates = tuple[Held, Document]
"""Where they are, and the filter that finds them."""


@dataclass(slots=True)
class Companions:
    """Collects the documents that accompany the matches, up to `most`; `complete` says whether that is all of them."""

    database: Database
    where: Where
    session: Session | None
    most: int
    found: list[Document] = field(default_factory=list)
    complete: bool = True
    _seen: dict[str, set[str]] = field(default_factory=dict)

    async def of(self, matches: Sequence[Key], includes: Sequence[Include]) -> list[Document]:
        self._note(matches)
        reached = await self._matches(matches, includes)
        active = includes
        for _ in range(ROUNDS):
            before = len(self.found)
            for each in active:
                await self._follow(each, reached)
            reached = self.found[before:]
            active = [each for each in includes if each.iterate]
            if not reached or not active or not self.complete:
                return self.found
        self.complete = False
        return self.found

    async def _matches(self, keys: Sequence[Key], includes: Sequence[Include]) -> list[Document]:
        """The matches with their index entries, which are needed to follow their references only."""
        if all(each.reverse for each in includes):
            return [{"rt": resource_type, "id": resource_id, "tok": ()} for resource_type, resource_id in keys]
        return await self._read(self._permitted(keys), len(keys), {"_id": 0, "rt": 1, "id": 1, "tok": 1})

    async def _follow(self, include: Include, reached: Sequence[Document]) -> None:
        if include.reverse:
            await self._backward(include, reached)
        else:
            await self._forward(include, reached)

    async def _forward(self, include: Include, reached: Sequence[Document]) -> None:
        wanted = {key for each in reached for key in include.forward(each["rt"], each["tok"])}
        await self._add(self._permitted(key for key in sorted(wanted) if key[1] not in self._seen.get(key[0], ())))

    async def _backward(self, include: Include, reached: Sequence[Document]) -> None:
        """Types with the same entries share a query."""
        sources = include.backward((each["rt"], each["id"]) for each in reached)
        shared: dict[tuple[str, ...], list[str]] = {}
        for source, entries in sources.items():
            if self._may_search(source):
                shared.setdefault(entries, []).append(source)
        for entries, types in shared.items():
            for held, part in self.database.parted(types, str):
                await self._add([(held, self._referring(part, entries))])

    def _referring(self, types: Sequence[str], entries: Sequence[str]) -> Document:
        """What refers to one of them and has not been found yet."""
        seen = [{"rt": each, "id": {"$in": sorted(self._seen[each])}} for each in types if each in self._seen]
        criteria: Document = {"tok": {"$in": list(entries)}, **({"$nor": seen} if seen else {})}
        return self.where.living(types, Right.SEARCH, criteria)

    def _permitted(self, keys: Iterable[Key]) -> list[Candidates]:
        """A filter for each type that the caller may search."""
        grouped: dict[str, list[str]] = {}
        for resource_type, resource_id in keys:
            grouped.setdefault(resource_type, []).append(resource_id)
        return [
            (self.database.holding(resource_type), self.where.living((resource_type,), Right.SEARCH, {}, ids))
            for resource_type, ids in grouped.items()
            if self._may_search(resource_type)
        ]

    def _may_search(self, resource_type: str) -> bool:
        try:
            self.where.permitted((resource_type,), Right.SEARCH)
        except FhirError:
            return False
        return True

    async def _add(self, filters: Sequence[Candidates]) -> None:
        left = self.most - len(self.found)
        documents = await self._read(filters, left + 1, {**self.where.shown, "tok": 1})
        self.complete = self.complete and len(documents) <= left
        self.found += documents[:left]
        self._note((each["rt"], each["id"]) for each in documents[:left])

    async def _read(self, filters: Sequence[Candidates], limit: int, wanted: Document) -> list[Document]:
        found: list[Document] = []
        for held, each in filters:
            if len(found) < limit:
                cursor = held.plain.find(
                    each, wanted, session=self.session, limit=limit - len(found), max_time_ms=SLOWEST
                )
                with mongo_errors:
                    found += await cursor.to_list()
        return found

    def _note(self, keys: Iterable[Key]) -> None:
        for resource_type, resource_id in keys:
            self._seen.setdefault(resource_type, set()).add(resource_id)
