"""Follows a source: again and again, the rows that have changed since they were read."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.mapping.changes import Changes, Marks, same_around
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.outcome import Report, TableReport
from fhir_server.mapping.run import Migration, Progress
from fhir_server.mapping.source import Span
from fhir_server.store.mapping_runs import MappingRuns
from fhir_server.store.surroundings import now

OVERLAP = timedelta(minutes=5)
DAILY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be read of a table."""

    marks: Marks | None
    span: Span
    whole: bool
    reconciles: bool


class Sync:
    """The tables of one source, each from its own cursor on."""

    def __init__(
        self,
        migration: Migration,
        runs: MappingRuns,
        *,
        overlap: timedelta = OVERLAP,
        clock: Callable[[], datetime] = now,
    ):
        self.migration, self.runs, self.overlap, self.clock = migration, runs, overlap, clock
        self.source = migration.catalogue.source

    async def once(self, tables: list[str], progress: Progress = lambda _: None) -> Report:
        """All changes up to now; a cursor moves on when its table has been read."""
        report = Report(str(uuid.uuid4()), self.source, self.migration.sink.tenant, self.clock())
        for mapping in self.migration.catalogue.in_order():
            if not tables or mapping.table in tables:
                found = TableReport(mapping.table)
                report.tables.append(found)
                await self._table(compiled(mapping, self.migration.catalogue), report.run_id, found, progress)
        if await self.runs.last(self.source) is None:
            await self.migration.keep(report)
        return report

    async def _table(self, table: Compiled, run_id: str, report: TableReport, progress: Progress) -> None:
        before = await self.runs.cursor(self.source, table.table.table) or {}
        plan = await asyncio.to_thread(self._plan, table, before)
        await self.migration.whole(
            table, plan.span, run_id, report, progress, reconciles=plan.reconciles, audits=plan.whole
        )
        if report.stopped:
            return
        kept = {"version": table.table.version, "marks": dict(plan.marks or {}), "at": self.clock()}
        times = {
            "whole": self.clock() if plan.whole else _whole(before),
            "reconciled": self.clock() if plan.reconciles else before.get("reconciled"),
        }
        await self.runs.keep_cursor(self.source, table.table.table, {**kept, **times})

    def _plan(self, table: Compiled, before: dict[str, Any]) -> Plan:
        """Once a day keys are compared, and tables read whole whose rows hold others: a deleted one leaves no time."""
        changes = Changes(
            self.migration.source,
            self.migration.catalogue.tables,
            self.clock(),
            self.migration.context.zone,
            self.overlap,
            before["at"].replace(tzinfo=UTC) if before else None,
        )
        marks = changes.marks(table.table)
        known = before.get("marks") or {}
        whole = marks is None or before.get("version") != table.table.version or not same_around(known, marks)
        whole = whole or (self._is_due(_whole(before)) and bool(table.table.read_with or table.table.merges))
        span = Span() if whole else Span(where=changes.where(table.table, known))
        return Plan(marks, span, whole, self._is_due(before.get("reconciled")))

    def _is_due(self, last: datetime | None) -> bool:
        return last is None or self.clock() - last.replace(tzinfo=UTC) >= DAILY


def _whole(before: dict[str, Any]) -> datetime | None:
    """When a table was last read whole; there were times when it was read so whenever its keys were compared."""
    found: datetime | None = before.get("whole", before.get("reconciled"))
    return found
