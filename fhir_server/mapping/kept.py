"""What is kept of a run for those who ask later: the counts of each table, and the schema as it was."""

from __future__ import annotations

import asyncio
from typing import Any

from fhir_server.mapping import schema
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.sink import Sink
from fhir_server.mapping.source import Source


async def keep(sink: Sink, source: Source, catalogue: Catalogue, whose: str | None, report: Report) -> None:
    """In the place of what was kept of the same tables before; a rehearsal keeps nothing."""
    if not sink.writes:
        return
    before = await sink.runs.last(catalogue.source) or {}
    tables = [catalogue.tables[each.table] for each in report.tables if not each.stopped]
    now = await asyncio.to_thread(schema.described, source, tables, whose, sink.snapshot_key)
    run = {"run": report.run_id, "at": report.started.isoformat()}
    counts = {each.table: {**each.as_json(), **run} for each in report.tables}
    found: dict[str, Any] = {
        **run,
        "whose": whose,
        "tables": {**before.get("tables", {}), **counts},
        "schema": {**before.get("schema", {}), **now},
        "names": sorted(source.tables),
    }
    await sink.runs.keep(catalogue.source, found)
