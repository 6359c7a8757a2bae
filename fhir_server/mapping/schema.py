"""The schema of a source as it was when a run read it: tables, columns, types, and which words its enumerations had.

Words are kept as keyed hashes, so that what is not an enumeration after all is told to nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fhir_server.mapping.grammar import Step
from fhir_server.mapping.inspection import columns, distinct
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.model import TableMapping, table_leaves
from fhir_server.mapping.source import Source
from fhir_server.mapping.text import folded, is_nothing

MOST_WORDS = 500
"""A column with more values is no enumeration."""

Words = dict[str, str]
"""The values of a column, by their hash."""


def described(source: Source, tables: Iterable[TableMapping], whose: str | None, key: bytes) -> dict[str, Any]:
    """By table the columns, each with its type and whether it may be null, and the hashes of enumerated values."""
    found: dict[str, Any] = {}
    for table in tables:
        if table.table in source.tables:
            words = {name: sorted(seen(source, table, name, whose, key)) for name in enumerated(table)}
            found[table.table] = {"columns": columns(source, table.table), "words": words}
    return found


def seen(source: Source, table: TableMapping, name: str, whose: str | None, key: bytes) -> Words:
    """The values of a column; none where there are too many for an enumeration."""
    values = distinct(source, table, name, whose, MOST_WORDS + 1)
    if len(values) > MOST_WORDS:
        return {}
    words = {folded(each) for each in values if not (isinstance(each, str) and is_nothing(each))}
    return {hashed(key, table, name, each): each for each in words}


def hashed(key: bytes, table: TableMapping, name: str, word: str) -> str:
    return hashlib.blake2b(f"{table.name}.{name}={word}".encode(), key=key[:64], digest_size=8).hexdigest()


def enumerated(table: TableMapping) -> Iterator[str]:
    """The columns that a map translates as they are, or whose values are documented."""
    mapped = {leaf.pipe.column.name for leaf in table_leaves(table) if leaf.pipe.steps and _whole(leaf.pipe.steps[0])}
    for name in table.columns:
        if name in table.values or name in mapped:
            yield name


def translating(table: TableMapping, name: str, maps: Mapping[str, ConceptMap]) -> list[ConceptMap]:
    """The maps that get a column as it is."""
    steps = [leaf.pipe.steps[0] for leaf in table_leaves(table) if leaf.pipe.column.name == name and leaf.pipe.steps]
    return [maps[each] for each in dict.fromkeys(str(step.args[0]) for step in steps if _whole(step))]


def _whole(step: Step) -> bool:
    return step.name == "map"
