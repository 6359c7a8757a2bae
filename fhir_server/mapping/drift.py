"""What has become of the schema of a source since a run read it, and what of that matters to its declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from fhir_server.mapping import schema
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.inspection import columns
from fhir_server.mapping.model import ColumnType, TableMapping
from fhir_server.mapping.source import COMPATIBLE, Source

ALIKE = 0.6
"""From here on, a column that is gone and one that is new are thought to be the same one under another name."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference; it `matters` where the declarations no longer say what the source has."""

    table: str
    column: str
    kind: str
    message: str
    matters: bool
    word: str | None = None
    """The new word of an enumeration."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A source now, against what a run has kept of it."""

    source: Source
    catalogue: Catalogue
    kept: Mapping[str, Any]
    key: bytes

    def structure(self) -> list[Drift]:
        """Tables, columns, types and nullability."""
        found = list(self._tables())
        for table in self.catalogue.in_order():
            before = self.kept["schema"].get(table.table)
            if before and table.table in self.source.tables:
                found += self._columns(table, before["columns"], columns(self.source, table.table))
        return found

    def values(self) -> list[Drift]:
        """Words of enumerations that no run has seen: asked for when no column is gone."""
        found: list[Drift] = []
        for table in self.catalogue.in_order():
            before = self.kept["schema"].get(table.table, {}).get("words", {})
            for name, known in before.items():
                if name in table.columns:
                    found += self._words(table, name, set(known))
        return found

    def _tables(self) -> Iterator[Drift]:
        before = set(self.kept["names"])
        for name in sorted(before - self.source.tables):
            declared = name in self.catalogue.tables
            yield Drift(name, "", "table gone", "The source no longer has the table.", declared)
        for name in sorted(self.source.tables - before):
            yield Drift(name, "", "table new", "The table is new, and not declared.", False)

    def _columns(self, table: TableMapping, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Drift]:
        declared = self._declared(table)
        gone, new = [name for name in before if name not in now], [name for name in now if name not in before]
        renamed = dict(_renamed(gone, new, before, now))
        for name in gone:
            matters = name in declared and name not in table.drop
            if name in renamed:
                message = f"The column is gone; '{renamed[name]}' of the same type is new and looks like it."
                yield Drift(table.table, name, "column renamed", message, matters)
            else:
                yield Drift(table.table, name, "column gone", "The source no longer has the column.", matters)
        for name in new:
            if name not in renamed.values():
                yield Drift(table.table, name, "column new", "The column is new, and not declared.", False)
        for name in before:
            if name in now:
                yield from _changed(table, name, before[name], now[name], declared.get(name))

    def _declared(self, table: TableMapping) -> Mapping[str, ColumnType]:
        """The columns that any declaration reads of a table."""
        found: dict[str, ColumnType] = {}
        for each in self.catalogue.tables.values():
            for related in each.related:
                if related.table == table.table:
                    found.update(related.columns)
        return {**found, **table.columns}

    def _words(self, table: TableMapping, name: str, known: set[str]) -> Iterator[Drift]:
        maps = schema.translating(table, name, self.catalogue.maps)
        words = schema.seen(self.source, table, name, self.kept["whose"], self.key)
        for word in sorted(word for digest, word in words.items() if digest not in known):
            lacking = [each for each in maps if word not in each.rows]
            if not maps or not lacking:
                message = "A word is new, and known."
            elif all(each.other for each in lacking):
                message = f"A word is new; it becomes what the map '{lacking[0].name}' says of others."
            else:
                closed = next(each for each in lacking if not each.other)
                message = f"A word is new, and the map '{closed.name}' has no line for it."
            matters = any(not each.other for each in lacking)
            yield Drift(table.table, name, "value new", message, matters, word)


def _renamed(
    gone: list[str], new: list[str], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """A column that is gone, with the new one of its type that is most like it."""
    left = list(new)
    for name in gone:
        alike = [each for each in left if now[each]["type"] == before[name]["type"]]
        best = max(alike, key=lambda each, name=name: _likeness(name, each), default=None)  # type: ignore[misc]
        if best is not None and _likeness(name, best) >= ALIKE:
            left.remove(best)
            yield name, best


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one.casefold(), other.casefold()).ratio()


def _changed(
    table: TableMapping, name: str, before: Mapping[str, Any], now: Mapping[str, Any], declared: ColumnType | None
) -> Iterator[Drift]:
    if before["type"] != now["type"]:
        fits = declared is None or not now["python"] or now["python"] in COMPATIBLE[declared.name]
        what = "which the declaration still fits" if fits else f"and is declared as {declared and declared.name}"
        message = f"The type was {before['type']} and is {now['type']}, {what}."
        yield Drift(table.table, name, "type changed", message, not fits)
    if now["nullable"] and not before["nullable"]:
        matters = bool(declared and declared.required)
        yield Drift(table.table, name, "may be null", "The column may be null now.", matters)
