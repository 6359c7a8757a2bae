"""Orders of results, and going on from a position in them: a keyset, never a count of rows to skip.

https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_server.search import apart
from fhir_server.search.page import Position
from fhir_server.search.query import Sort
from fhir_server.search.registry import FIELDS
from fhir_server.search.term import Filter, all_of, entry_range, wide

UP, DOWN = 1, -1

Stage = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """A field of the document and its direction; only falling and computed keys may have no value, which comes last."""

    field: str
    direction: int


NEWEST_FIRST = (Key("d", DOWN), Key("id", UP))
"""By the main date of the type; as the indexes `tok`, `cmp` and `order` are sorted."""

OLDEST_FIRST = (Key("d", UP), Key("id", DOWN))
"""The same indexes read backwards; documents with and without the date are to be asked for apart."""

BY_TYPE = Key("rt", UP)
"""Before all other keys where several types are searched: the indexes are sorted by type."""

BY_UPDATE = (Key("lu", UP), Key("id", UP))
LATEST_UPDATE = (Key("lu", DOWN), Key("id", DOWN))


def specification(keys: Sequence[Key]) -> list[tuple[str, int]]:
    return [(key.field, key.direction) for key in keys]


def after(keys: Sequence[Key], values: Sequence[Any]) -> Filter:
    """Documents that come later than one with these values.

    The first key is bounded on its own, so that the index is entered there; the alternatives only break ties.
    """
    key, value = keys[0], values[0]
    if len(keys) == 1:
        return {key.field: {"$gt" if key.direction == UP else "$lt": value}}
    later = after(keys[1:], values[1:])
    if value is None:
        return {key.field: None, **later}
    reached: Filter = {"$gte": value} if key.direction == UP else {"$not": {"$gt": value}}
    return {key.field: reached, "$or": [{key.field: {"$ne": value}}, later]}


def position_in(keys: Sequence[Key]) -> Callable[[Mapping[str, Any]], Position]:
    """Reads the position of a row from its document."""
    fields = tuple(key.field for key in keys)
    return lambda document: Position(tuple(_aware(document.get(each)) for each in fields))


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


BY_FIELD: dict[str, tuple[Key, ...]] = {"str": (Key("id", UP),), "tok": NEWEST_FIRST, apart.FIELD: NEWEST_FIRST}
"""By array: what its index is sorted by after the entries."""


@dataclass(frozen=True, slots=True)
class Entries:
    """The order of an index by the entries of an array in [low, high): a document appears at the first that it has."""

    field: str
    low: str
    high: str

    @property
    def rest(self) -> tuple[Key, ...]:
        return BY_FIELD[self.field]

    @property
    def projection(self) -> tuple[str, ...]:
        return (self.field, *(key.field for key in self.rest))

    def present(self) -> Filter:
        return entry_range(self.field, self.low, self.high)

    def after(self, position: Position) -> Filter:
        """Documents that come later; one with an earlier entry was on an earlier page."""
        entry, *values = position.values
        shown = [entry_range(self.field, self.low, entry), {self.field: entry, "$nor": [after(self.rest, values)]}]
        return all_of([entry_range(self.field, entry, self.high), {"$nor": shown}])

    def position_of(self, document: Mapping[str, Any]) -> Position:
        first = min(each for each in document[self.field] if self.low <= each < self.high)
        return Position((first, *position_in(self.rest)(document).values))


def entries_of(sort: Sort) -> Entries | None:
    """The index order that a rising sort by one parameter has, if its values are entries."""
    field, code = FIELDS.get(sort.parameter.kind, ""), sort.parameter.code
    if sort.descending or field not in BY_FIELD:
        return None
    return Entries(field, *_span(code, sort.parameter.kind))


def _span(code: str, kind: str) -> tuple[str, str]:
    return (f"{code}=", f"{code}>") if kind in ("reference", "uri") else (f"{code}:", f"{code};")


LENGTH = 200
"""Characters of a text that it is sorted by where no index serves: page links carry them."""


def computed(sort: Sequence[Sort]) -> tuple[tuple[Key, ...], tuple[Stage, ...]]:
    """Keys for an order that no index serves, and the stages that compute them; missing values come last either way."""
    fields: Stage = {}
    keys: list[Key] = []
    for number, each in enumerate(sort):
        direction = DOWN if each.descending else UP
        fields[f"k{number}"] = _value(each)
        keys += [Key(f"m{number}", UP), Key(f"k{number}", direction)]
    missing = {f"m{number}": {"$cond": [{"$eq": [f"$k{number}", None]}, 1, 0]} for number in range(len(sort))}
    return (*keys, Key("id", UP), BY_TYPE), ({"$addFields": fields}, {"$addFields": missing})


def _value(sort: Sort) -> Any:
    """The least value of a resource where the order rises, the greatest where it falls."""
    kind, code = sort.parameter.kind, sort.parameter.code
    if kind in _STAMPS:
        return _STAMPS[kind]
    field = FIELDS[kind]
    value = {"$max" if sort.descending else "$min": _ROWS[field](code, kind)}
    return _start(value) if field in BY_FIELD else value


def _start(text: Any) -> Any:
    """The first characters of a text, if there is one."""
    start = {"$cond": [{"$eq": ["$$text", None]}, None, {"$substrCP": ["$$text", 0, LENGTH]}]}
    return {"$let": {"vars": {"text": text}, "in": start}}


_STAMPS = {"_id": "$id", "_lastUpdated": "$lu"}


def _entries(field: str) -> Callable[[str, str], Any]:
    def found(code: str, kind: str) -> Any:
        low, high = _span(code, kind)
        within = {"$and": [{"$gte": ["$$each", low]}, {"$lt": ["$$each", high]}]}
        return {"$filter": {"input": f"${field}", "as": "each", "cond": within}}

    return found


def _numbers(field: str, value: str) -> Callable[[str, str], Any]:
    def found(code: str, _: str) -> Any:
        rows = {"$filter": {"input": f"${field}", "as": "each", "cond": {"$in": ["$$each.p", [code, wide(code)]]}}}
        return {"$map": {"input": rows, "as": "each", "in": f"$$each.{value}"}}

    return found


_ROWS: dict[str, Callable[[str, str], Any]] = {
    "str": _entries("str"),
    "tok": _entries("tok"),
    "dat": _numbers("dat", "s"),
    "num": _numbers("num", "v"),
}
"""By index array: the values that a parameter has in a document, as an aggregation expression."""
