"""A record: which resources belong to it, and what a caller wants to have of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.access.right import Right
from fhir_server.fhir.resource import LOCAL_REFERENCE
from fhir_server.interactions import integrity
from fhir_server.interactions.context import Context
from fhir_server.search import order
from fhir_server.search.plan import Plan
from fhir_server.search.term import Filter, all_of, none_of

Key = tuple[str, str]

KEYS = (order.BY_TYPE, *order.NEWEST_FIRST)
"""By type, the newest first: the order of the indexes."""

BY_ID = (order.Key("id", order.UP),)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`since` is about when a resource was stored, `care` about the time it tells of; no types are all types."""

    types: frozenset[str] | None
    since: Filter
    care: Filter
    count: int

    def of(self, resource_type: str) -> bool:
        return self.types is None or resource_type in self.types


@dataclass(frozen=True, slots=True)
class Record:
    """`beyond` is what resources outside of the record must be like to come along with it."""

    members: Filter
    index: str
    types: tuple[str, ...]
    beyond: Filter

    def of_members(self, types: tuple[str, ...], wanted: Filter, after: tuple[Any, ...] | None, limit: int) -> Plan:
        """The next members of these types; which documents the caller may see is added by the repository."""
        criteria = all_of([self.members, wanted])
        return Plan(
            types,
            criteria,
            all_of([criteria, *([order.after(KEYS, after)] if after else [])]),
            order.specification(KEYS),
            self.index,
            limit,
            order.position_in(KEYS),
            tuple(key.field for key in KEYS),
        )

    def outside(self, resource_type: str, ids: Iterable[str], wanted: Filter, limit: int) -> Plan:
        """Of these resources those that are no members themselves."""
        criteria = all_of([self.beyond, none_of(self.members), wanted])
        return Plan(
            (resource_type,),
            criteria,
            criteria,
            order.specification(BY_ID),
            None,
            limit,
            order.position_in(BY_ID),
            ("id",),
            ids=tuple(ids),
        )


def searchable(ctx: Context, types: Iterable[str]) -> tuple[str, ...]:
    """Of these types those that the caller may search."""
    return tuple(each for each in sorted(types) if integrity.permitted(ctx, each, Right.SEARCH))


def references(value: Any, base: str) -> Iterator[Key]:
    """The resources of this server that something points to, attachments included."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            for name in ("reference", "url"):
                local = LOCAL_REFERENCE.match(_relative(each.get(name), base))
                if local is not None:
                    yield local[1], local[2]


def _relative(text: Any, base: str) -> str:
    return text.removeprefix(f"{base}/") if isinstance(text, str) else ""
