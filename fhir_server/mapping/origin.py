"""Which row, or which rows together, a resource comes from, and what they become, element by element."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from fhir_server.mapping.compile import compiled
from fhir_server.mapping.lineage import Explained, explained, explained_merge, read
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.rows import Rows
from fhir_server.mapping.run import Migration
from fhir_server.mapping.source import Row, Span

ORIGIN = "urn:legacy:"
VALUE = "~"
"""How a key begins that is a value: of what several rows become together, or of what belongs to the value."""


async def of_row(migration: Migration, table: str, pk: str) -> list[Explained]:
    """What a row becomes, alone and together with others."""
    rows = _rows(migration, table)
    return await asyncio.to_thread(_of_row, migration, rows, pk)


async def of_resource(migration: Migration, resource: str) -> list[Explained]:
    """The one resource, from the row that it names as its source.  https://hl7.org/fhir/R4/resource.html#Meta"""
    resource_type, _, resource_id = resource.partition("/")
    repository = migration.sink.repository
    version = await repository.current(resource_type, resource_id)
    source = migration.catalogue.source
    origin = str(version.resource().get("meta", {}).get("source", ""))
    if not origin.startswith(f"{ORIGIN}{source}:"):
        raise ValueError(f"{resource} does not come from {source}.")
    table, _, pk = origin.removeprefix(f"{ORIGIN}{source}:").partition(":")
    rows, key = _rows(migration, table), unquote(pk)
    work = _of_value if key.startswith(VALUE) else _of_row
    found = await asyncio.to_thread(work, migration, rows, key)
    return [each for each in found if each.reference == resource]


def _rows(migration: Migration, table: str) -> Rows:
    mapping = migration.catalogue.tables.get(table)
    if mapping is None:
        raise ValueError(f"There is no declaration of the table '{table}'.")
    return migration.rows(compiled(mapping, migration.catalogue))


def _of_row(migration: Migration, rows: Rows, pk: str) -> list[Explained]:
    mapping = migration.catalogue.tables[rows.table.table.table]
    there = read(rows, mapping, pk)
    if there is None:
        raise ValueError(f"{mapping.table} has no row with the key '{pk}'.")
    found = explained(mapping, migration.catalogue, *there, migration.context)
    for merge in mapping.merges:
        value = rows.value_of(merge, there[0])
        if value is not None:
            found += explained_merge(rows, migration.catalogue, merge, value)
    return found


def _of_value(migration: Migration, rows: Rows, key: str) -> list[Explained]:
    """What belongs to a value: of the rows that share it, or of the first row that has it."""
    mapping = rows.table.table
    for merge in mapping.merges.values():
        value = _typed(mapping, merge.by, key.removeprefix(VALUE)) if not merge.field else key.removeprefix(VALUE)
        found = explained_merge(rows, migration.catalogue, merge.name, value)
        if found:
            return found
    own = migration.catalogue.tables[mapping.table]
    for row, related in _each(rows):
        if any(each == key for _, each in rows.table.naturals(row, related, migration.context)):
            return explained(own, migration.catalogue, row, related, migration.context)
    raise ValueError(f"{mapping.table} has no row with '{key.removeprefix(VALUE)}' any more.")


def _typed(mapping: TableMapping, column: str, text: str) -> Any:
    whole = mapping.columns[column].name == "integer" and text.lstrip("-").isdecimal()
    return int(text) if whole else text


def _each(rows: Rows) -> Iterator[tuple[Row, dict[str, Any]]]:
    """The rows of a table in the order in which a run reads them."""
    mapping, span = rows.table.table, Span()
    while page := rows.source.page(mapping, rows.tenant, span, 500):
        yield from zip(page, rows.source.related(mapping, page), strict=True)
        span = Span(after=rows.table.key_values(page[-1]))
