"""Pages over several searches, one after the other: each knows how to go on from where a page ended.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Protocol

from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import bundles
from fhir_server.interactions.operations.record import Key, Record, Wanted, references, searchable
from fhir_server.interactions.pace import paced
from fhir_server.search.match import matches
from fhir_server.search.term import Filter, all_of

BATCH = 500
"""How many resources are looked for at once."""

Place = tuple[Any, ...]

Row = tuple[Version, bytes]
"""A resource of the answer with its search mode."""


Part = tuple[Sequence[Version], Place | None]
"""Versions, and where to go on; None where there are no more."""


class Phase(Protocol):
    """One of the searches; `mode` says why its resources are in the answer."""

    @property
    def mode(self) -> bytes: ...

    async def part(self, after: Place | None, room: int) -> Part:
        """As many as there is room for; without any room only whether there is something."""


async def page(phases: Sequence[Phase], reached: Place | None, count: int) -> tuple[list[Row], Place | None]:
    """One page, and the place where the next one starts: the number of a phase, and how far that one has come."""
    first, *after = reached or (0,)
    found: list[Row] = []
    for number in range(first, len(phases)):
        room = count - len(found)
        versions, end = await phases[number].part(tuple(after) or None, room)
        found += [(version, phases[number].mode) for version in versions]
        if end is not None:
            return found, (number, *end) if room else (number,)
        after = []
    return found, None


@dataclass(frozen=True, slots=True)
class Focus:
    """The one resource that is asked about."""

    version: Version
    wanted: Wanted
    mode: bytes = bundles.MATCH

    async def part(self, after: Place | None, room: int) -> Part:
        if after is not None or not room:
            return [], None
        recent = matches({"lu": self.version.last_updated}, self.wanted.since)
        return [self.version] if recent and self.wanted.of(self.version.resource_type) else [], None


@dataclass(frozen=True, slots=True)
class Members:
    """What belongs to the record."""

    ctx: Context
    record: Record
    wanted: Wanted
    mode: bytes = bundles.MATCH

    async def part(self, after: Place | None, room: int) -> Part:
        types = self._types()
        if not types:
            return [], None
        found = await self.ctx.repo.search(self.record.of_members(types, self._filter(), after, room))
        return found.versions, found.next.values if found.next else None

    async def count(self) -> int:
        types = self._types()
        return await self.ctx.repo.count(self.record.of_members(types, self._filter(), None, 0)) if types else 0

    def _types(self) -> tuple[str, ...]:
        return searchable(self.ctx, (each for each in self.record.types if self.wanted.of(each)))

    def _filter(self) -> Filter:
        return all_of([self.wanted.since, self.wanted.care])


@dataclass(frozen=True, slots=True)
class Referred:
    """What the record points to, found by reading all of it: once for each page that reaches this far."""

    ctx: Context
    record: Record
    wanted: Wanted
    focus: Version | None = None
    """The resource that is asked about, where it is not a member itself."""
    mode: bytes = bundles.INCLUDE

    async def part(self, after: Place | None, room: int) -> Part:
        found: list[Version] = []
        for resource_type, ids in await self._ids(after):
            for batch in _batches(ids):
                plan = self.record.outside(resource_type, batch, self.wanted.since, room - len(found))
                page = await self.ctx.repo.search(plan)
                found += page.versions
                if page.next is not None:
                    return found, _key(found[-1]) if found else ()
        return found, None

    async def _ids(self, after: Place | None) -> list[tuple[str, list[str]]]:
        """Ids by type, both in order."""
        keys = await self._keys()
        later = sorted(key for key in keys if after is None or key > after)
        types = {key[0] for key in later if self.wanted.of(key[0])}
        permitted = frozenset(searchable(self.ctx, types))
        grouped = groupby(later, itemgetter(0))
        return [(name, [key[1] for key in group]) for name, group in grouped if name in permitted]

    async def _keys(self) -> set[Key]:
        types = searchable(self.ctx, self.record.types)
        found = set(references(self.focus.resource(), self.ctx.base)) if self.focus else set()
        after: Place | None = ()
        while types and after is not None:
            page = await self.ctx.repo.search(self.record.of_members(types, self.wanted.care, after or None, BATCH))
            async for version in paced(page.versions):
                found.update(references(version.resource(), self.ctx.base))
            after = page.next.values if page.next else None
        return found - ({_key(self.focus)} if self.focus else set())


def _key(version: Version) -> Key:
    return version.resource_type, version.resource_id


def _batches(ids: Sequence[str]) -> list[tuple[str, ...]]:
    waiting = iter(ids)
    return list(iter(lambda: tuple(islice(waiting, BATCH)), ()))
