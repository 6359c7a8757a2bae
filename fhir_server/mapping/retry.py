"""Rows in quarantine, tried again: from the source, or from their snapshot where the source has lost them."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.outcome import QUARANTINED, Report, TableReport
from fhir_server.mapping.run import Migration, Progress
from fhir_server.mapping.snapshot import unseal
from fhir_server.mapping.source import Row


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: those of tables, single ones, or those whose declaration has changed since."""

    tables: Collection[str] = ()
    keys: Mapping[str, Collection[str]] | None = None
    """By table."""
    changed: bool = False

    def takes(self, state: Mapping[str, Any], version: str) -> bool:
        if self.keys is not None and state["source_pk"] not in self.keys.get(state["source_table"], ()):
            return False
        return not self.changed or state["mapping_version"] != version


async def retried(migration: Migration, wanted: Wanted, progress: Progress = lambda _: None) -> Report:
    """What became of them this time; rows of tables that have none are not counted."""
    report = Report(str(uuid.uuid4()), migration.catalogue.source, migration.sink.tenant, datetime.now(UTC))
    for mapping in migration.catalogue.in_order():
        if wanted.tables and mapping.table not in wanted.tables:
            continue
        table = compiled(mapping, migration.catalogue)
        rows, found = migration.rows(table, again=True), TableReport(mapping.table)
        async for keys in _pages(migration, table, wanted):
            page = await _read(migration, table, keys)
            if page:
                outcomes = await rows.outcomes(page)
                await migration.sink.store(table, outcomes, report.run_id, found)
                for outcome in outcomes:
                    found.add(outcome)
                progress(found)
        if found.rows:
            report.tables.append(found)
    return report


async def _pages(migration: Migration, table: Compiled, wanted: Wanted) -> AsyncIterator[list[str]]:
    """The keys first, then page by page: what is tried again may stay in quarantine."""
    source, name = table.table.source, table.table.table
    states = migration.sink.states.every_with_status(source, QUARANTINED, name)
    keys = [state["source_pk"] async for state in states if wanted.takes(state, table.table.version)]
    size = migration.options.page
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


async def _read(migration: Migration, table: Compiled, keys: Sequence[str]) -> list[Row]:
    rows = await asyncio.to_thread(migration.source.rows, table.table, keys)
    there = {table.key(row) for row in rows}
    gone = [await _kept(migration, table, key) for key in keys if key not in there]
    return [*rows, *(row for row in gone if row is not None)]


async def _kept(migration: Migration, table: Compiled, pk: str) -> Row | None:
    """The row as it was when it was put into quarantine."""
    sink, mapping = migration.sink, table.table
    sealed = await sink.states.snapshot(mapping.source, mapping.table, pk)
    if sealed is None:
        return None
    found = unseal(sink.snapshot_key, sink.tenant, mapping.name, pk, bytes(sealed["row"]))
    return tuple(_value(found.get(name), kind.name) for name, kind in mapping.columns.items())


def _value(value: Any, kind: str) -> Any:
    """Bytes are Base64 in a snapshot; times and decimals are text, which every converter takes."""
    return base64.b64decode(value) if kind == "blob" and isinstance(value, str) else value
