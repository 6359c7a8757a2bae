"""Reads a page of rows, leaves what has not changed, maps the rest, validates, stores, writes down what became of it.

While one page is being stored the next is read and mapped. A page can be repeated: ids are a function of the source
key, equal content writes no version, and states are replaced as a whole.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from sqlalchemy import ColumnElement, and_

from fhir_server.mapping import kept
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.grammar import Column
from fhir_server.mapping.model import Leaf, table_leaves
from fhir_server.mapping.outcome import QUARANTINED, UNCHANGED, Outcome, Report, TableReport
from fhir_server.mapping.rows import Rows
from fhir_server.mapping.sink import Sink
from fhir_server.mapping.source import Row, Source, Span, since

PAGE = 1000
TRIED_BEFORE_LIMIT = 200
"""Rows before the share of quarantined ones says anything."""

Progress = Callable[[TableReport], None]
Told = Callable[[Row], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes; `source_tenant` is whose rows are read where a table has several tenants."""

    source_tenant: str | None = None
    page: int = PAGE
    error_limit: float = 0.05
    since: str | None = None
    reconcile: bool = False
    """Also find the rows that are no longer in the source."""
    provenance: str | None = None
    """`row`, `batch` or `off` for every table, whatever is declared."""


class Migration:
    """The tables of one source into one tenant."""

    def __init__(self, catalogue: Catalogue, source: Source, sink: Sink, context: Context, options: Options):
        self.catalogue, self.source, self.sink, self.context, self.options = catalogue, source, sink, context, options

    async def run(self, tables: Sequence[str] | None = None, progress: Progress = lambda _: None) -> Report:
        """Maps the tables in load order; a table with too many bad rows ends the run."""
        report = Report(str(uuid.uuid4()), self.catalogue.source, self.sink.tenant, datetime.now(UTC))
        for table in self.catalogue.in_order():
            if tables and table.table not in tables:
                continue
            found = TableReport(table.table)
            report.tables.append(found)
            await self.whole(compiled(table, self.catalogue), Span(), report.run_id, found, progress)
            if found.stopped:
                break
        await self.keep(report)
        return report

    async def keep(self, report: Report) -> None:
        """What is asked about a run later."""
        await kept.keep(self.sink, self.source, self.catalogue, self.options.source_tenant, report)

    async def whole(
        self,
        table: Compiled,
        span: Span,
        run_id: str,
        report: TableReport,
        progress: Progress = lambda _: None,
        *,
        reconciles: bool | None = None,
        audits: bool = True,
    ) -> None:
        """A table in this process alone."""
        begun = monotonic()

        async def told(_: Row) -> None:
            report.seconds = monotonic() - begun
            progress(report)

        await self.part(table, span, run_id, report, told)
        await self.finish(table, run_id, report, reconciles=reconciles, audits=audits)
        report.seconds = monotonic() - begun
        progress(report)

    async def part(
        self,
        table: Compiled,
        span: Span,
        run_id: str,
        report: TableReport,
        told: Told,
        *,
        others: TableReport | None = None,
    ) -> None:
        """The rows of a span; `told` hears the last key of each page when it is stored.

        What `others` did of the table counts where the share of bad rows is looked at.
        """
        rows = self.rows(table)
        writing: asyncio.Task[None] | None = None
        try:
            async for page in self._pages(table, span):
                outcomes = await rows.outcomes(page)
                if writing:
                    await writing
                writing = None
                if self._too_many(report, others):
                    break
                writing = asyncio.create_task(self._store(table, page, outcomes, run_id, report, told))
        finally:
            if writing:
                await writing
        self._too_many(report, others)

    async def naturals(self, table: Compiled, run_id: str) -> None:
        """What belongs to values, before several processes share the table."""
        rows, unheard = self.rows(table), TableReport(table.table.table)
        async for page in self._pages(table, Span()):
            await self.sink.store(table, await rows.naturals(page), run_id, unheard)

    async def finish(
        self,
        table: Compiled,
        run_id: str,
        report: TableReport,
        *,
        reconciles: bool | None = None,
        audits: bool = True,
    ) -> None:
        """What can be said once all rows were read: which are gone, and which refer to rows that are not there."""
        wanted = self.options.reconcile if reconciles is None else reconciles
        if wanted and not report.stopped:
            await self._reconcile(table, self.rows(table), run_id, report)
        if audits:
            report.dangling = await asyncio.to_thread(self._dangling, table)

    def rows(self, table: Compiled, *, again: bool = False) -> Rows:
        return Rows(table, self.source, self.sink.states, self.context, self.options.source_tenant, again=again)

    async def _reconcile(self, table: Compiled, rows: Rows, run_id: str, report: TableReport) -> None:
        """Rows that are known and gone: what they became says so, or is deleted."""
        keys: list[str] = []
        async for key in self.sink.states.keys(table.table.source, table.table.table):
            if not key.startswith("~"):
                keys.append(key)
            if len(keys) == self.options.page:
                await self._remove(table, rows, keys, run_id, report)
                keys = []
        await self._remove(table, rows, keys, run_id, report)

    async def _remove(self, table: Compiled, rows: Rows, keys: list[str], run_id: str, report: TableReport) -> None:
        present = await asyncio.to_thread(self.source.present, table.table, keys)
        outcomes = await rows.removed([key for key in keys if key not in present])
        await self.sink.store(table, outcomes, run_id, report)
        report.removed += sum(not outcome.is_group for outcome in outcomes)

    async def _pages(self, table: Compiled, span: Span) -> AsyncIterator[list[Row]]:
        span = replace(span, where=_all(span.where, since(table.table, self.options.since)))
        while True:
            page = await asyncio.to_thread(
                self.source.page, table.table, self.options.source_tenant, span, self.options.page
            )
            if page:
                yield page
            if len(page) < self.options.page:
                return
            span = replace(span, after=table.key_values(page[-1]))

    async def _store(
        self,
        table: Compiled,
        page: Sequence[Row],
        outcomes: list[Outcome],
        run_id: str,
        report: TableReport,
        told: Told,
    ) -> None:
        await self.sink.store(table, outcomes, run_id, report)
        for outcome in outcomes:
            report.add(outcome)
            if outcome.status == UNCHANGED and any(each["status"] == QUARANTINED for each in outcome.known.values()):
                report.still_quarantined += 1
        await told(table.key_values(page[-1]))

    def _too_many(self, report: TableReport, others: TableReport | None = None) -> bool:
        """Whether so many rows are bad that the declaration, not the data, is likely to be wrong."""
        counted = [each for each in (report, others) if each]
        tried = sum(each.rows - each.counts[UNCHANGED] for each in counted)
        bad = sum(each.counts[QUARANTINED] for each in counted)
        if tried >= TRIED_BEFORE_LIMIT and bad > tried * self.options.error_limit:
            report.stopped = f"{bad} of {tried} rows are in quarantine, more than {self.options.error_limit:.0%}."
        return report.stopped is not None

    def _dangling(self, table: Compiled) -> dict[str, int]:
        """References whose target the source does not have, or that no declaration makes yet."""
        found: dict[str, int] = {}
        for column, target in sorted(set(_references(table, self.catalogue))):
            mapping = self.catalogue.tables.get(target)
            count = self.source.orphans(table.table, column, mapping, self.options.source_tenant)
            if count:
                found[f"{column} -> {target}{'' if mapping else ' (no declaration yet)'}"] = count
        return found


def _all(*conditions: ColumnElement[bool] | None) -> ColumnElement[bool] | None:
    found = [each for each in conditions if each is not None]
    return and_(*found) if found else None


def _references(table: Compiled, catalogue: Catalogue) -> Iterable[tuple[str, str]]:
    """Columns that hold the key of a row of another table."""
    own = {table.table.key[0], *table.table.tenant}
    for leaf in table_leaves(table.table):
        for step in leaf.pipe.steps:
            column = leaf.pipe.column
            is_key = column.name in table.table.columns and column.name not in own and not column.field
            if step.name == "reference" and is_key:
                target = catalogue.output(str(step.args[0]), str(step.args[1]))
                if _is_for_some(leaf, table):
                    continue
                if not (target and (target.key or target.merge)):
                    yield column.name, str(step.args[1]).partition("#")[0]


def _is_for_some(leaf: Leaf, table: Compiled) -> bool:
    """Whether another column of the row says what the column points to: of most rows, not to this table."""
    given = [step.args for step in leaf.pipe.steps if step.name == "given" and isinstance(step.args[0], Column)]
    worded = {args[0].name for args in given if len(args) > 1}  # type: ignore[union-attr]
    decoded = {args[0].name for args in given} & table.table.decode.keys()  # type: ignore[union-attr]
    return bool(decoded or worded & table.table.columns.keys())
