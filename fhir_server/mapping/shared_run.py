"""A run that several processes share, and that outlives them: leased ranges of keys, led by one of the processes.

The run is a job, and so is each range. Who has the lease of the run leads: it divides a table into ranges, puts the
reports of the ranges together and goes on to the next table. Everyone, the leader too, takes up ranges. A range keeps
with each page how far it is and what was counted; whoever takes it up after a kill goes on there. The page that was
being stored is stored again, which changes nothing: ids are computed, and equal content makes no version.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from fhir_server.mapping.catalogue import versioned
from fhir_server.mapping.changes import Changes
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.database import SourceError
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.outcome import Report, TableReport, table_report
from fhir_server.mapping.run import Migration, Progress
from fhir_server.mapping.snapshot import row_hash
from fhir_server.mapping.source import Row, Span
from fhir_server.store.jobs import Job, Jobs, LeaseLost, new_owner

RUN, PART = "migration", "migration-part"
RANGE = 5_000
"""Rows of a range: enough to be worth a lease, few enough that processes end a table together."""
LOOK = 0.3
"""Seconds between two looks at what other processes do."""
ALIVE = 4.0
"""Seconds between two signs of life."""
RESUMED = timedelta(hours=24)
"""A run that was left longer ago begins again: too much may have changed in what it has read."""


def is_dead(owner: str | None) -> bool:
    """Whether it is known that the process is gone; of other machines it is not."""
    host, _, rest = (owner or "").partition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(rest.partition(":")[0]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


async def begun(jobs: Jobs, migration: Migration, tables: Sequence[str]) -> tuple[Job, bool]:
    """The run that was left unfinished, or a new one; the flag says which."""
    tenant, catalogue, options = migration.sink.tenant, migration.catalogue, migration.options
    chosen = [table for table in catalogue.in_order() if not tables or table.table in tables]
    versions = [versioned(table, catalogue).version for table in chosen]
    about = [migration.source.place.name, options.source_tenant, options.since, options.reconcile]
    signature = row_hash("", [*about, *versions], [table.table for table in chosen])
    for job in await jobs.listed(tenant, RUN):
        if not job.open or job.given["source"] != catalogue.source:
            continue
        if is_dead(job.owner):
            await jobs.forsake(job)
        same = job.given["signature"] == signature
        if same and datetime.now(UTC) - job.created.replace(tzinfo=UTC) < RESUMED:
            return job, True
        if not await jobs.take((RUN,), new_owner(), only=job):
            raise SourceError(f"Another run of {catalogue.source} is under way, with other tables or declarations.")
        await jobs.cancel(job)
    given = {"source": catalogue.source, "signature": signature, "tables": [table.table for table in chosen]}
    return await jobs.add(tenant, RUN, given), False


class SharedRun:
    """One process at work on a run."""

    def __init__(self, jobs: Jobs, migration: Migration, run: Job, *, rows: int = RANGE):
        self.jobs, self.migration, self.run, self.rows_of_range = jobs, migration, run, rows
        self.owner = new_owner()
        self._compiled: dict[str, Compiled] = {}

    async def work(self, progress: Progress = lambda _: None) -> Report:
        """Until the run is over, leading it while nobody else does."""
        while (run := await self._current()).open:
            if is_dead(run.owner):
                await self.jobs.forsake(run)
            taken = await self.jobs.take((RUN,), self.owner, only=run)
            with suppress(LeaseLost):  # Somebody else leads from now on.
                if taken:
                    await self._lead(taken, progress)
                elif not await self._one_part():
                    await asyncio.sleep(LOOK)
        return self._report(run)

    async def help(self, wanted: Callable[[], bool]) -> None:
        """Takes up ranges as long as there is someone to lead."""
        while (await self._current()).open and wanted():
            if not await self._one_part():
                await asyncio.sleep(LOOK)

    async def _current(self) -> Job:
        return await self.jobs.get(self.run.tenant, RUN, self.run.job_id) or self.run

    def _report(self, run: Job) -> Report:
        done = (run.cursor or {}).get("done", [])
        tables = [table_report(each) for each in done]
        return Report(run.job_id, run.given["source"], run.tenant, run.created.replace(tzinfo=UTC), tables)

    async def _lead(self, run: Job, progress: Progress) -> None:
        cursor = {"done": [], "plans": {}, "marks": {}, **(run.cursor or {})}
        async with self._alive(run):
            for name in run.given["tables"][len(cursor["done"]) :]:
                table = self._table(name)
                if name not in cursor["plans"]:
                    cursor["marks"][name] = await self._marked(table)
                    cursor["plans"][name] = await self._plan(table)
                    await self.jobs.advance(run, cursor=cursor)
                report = await self._led(run, table, cursor["plans"][name], progress)
                cursor["done"].append(report.as_json())
                await self.jobs.advance(run, cursor=cursor)
                if report.stopped:
                    break
                await self._followed(table, cursor["marks"].get(name))
            await self.migration.keep(self._report(replace(run, cursor=cursor)))
        await self.jobs.end(run, "failed" if cursor["done"] and cursor["done"][-1]["stopped"] else "finished")

    async def _marked(self, table: Compiled) -> dict[str, Any] | None:
        """How far the table can be read now, so that `sync` goes on from here; a part of a table is no start."""
        options, now = self.migration.options, datetime.now(UTC)
        if options.since:
            return None
        source, tables, zone = self.migration.source, self.migration.catalogue.tables, self.migration.context.zone
        marks = await asyncio.to_thread(Changes(source, tables, now, zone, timedelta()).marks, table.table)
        return {"version": table.table.version, "marks": dict(marks or {}), "at": now, "whole": now}

    async def _followed(self, table: Compiled, marked: dict[str, Any] | None) -> None:
        """Where the next look begins, now that all rows before it are stored."""
        if marked is None:
            return
        runs, source, name = self.migration.sink.runs, table.table.source, table.table.table
        before = await runs.cursor(source, name) or {}
        reconciled = marked["at"] if self.migration.options.reconcile else before.get("reconciled")
        await runs.keep_cursor(source, name, {**marked, "reconciled": reconciled})

    async def _plan(self, table: Compiled) -> list[Any]:
        """The last key of each range but the last, which has no end."""
        source, tenant = self.migration.source, self.migration.options.source_tenant
        found: list[Any] = []
        span = Span()
        offset = self.rows_of_range - 1
        while (last := await asyncio.to_thread(source.key_at, table.table, tenant, span, offset)) is not None:
            found.append(list(last))
            span = Span(after=last)
        if found:
            await self.migration.naturals(table, self.run.job_id)
        return found

    async def _led(self, run: Job, table: Compiled, ends: list[Any], progress: Progress) -> TableReport:
        """A table, once all of its ranges are done."""
        begun = monotonic()

        def heard(report: TableReport) -> None:
            report.seconds = monotonic() - begun
            progress(report)

        await self._offer(table.table, ends)
        while True:
            parts = await self._parts(table.table.table)
            report = _sum(table.table, parts)
            heard(report)
            if report.stopped or not any(part.open for part in parts):
                break
            if not await self._one_part(heard):
                await asyncio.sleep(LOOK)
        if report.stopped:
            for part in parts:
                await self.jobs.cancel(part)
        await self.migration.finish(table, run.job_id, report)
        heard(report)
        return report

    async def _offer(self, table: TableMapping, ends: list[Any]) -> None:
        """The ranges as jobs; those of a leader before are there already."""
        known = {part.job_id for part in await self._parts(table.table)}
        spans = zip([None, *ends], [*ends, None], strict=True)
        for number, (after, until) in enumerate(spans):
            name = f"{self.run.job_id}.{table.table}.{number}"
            if name not in known:
                given = {"run": self.run.job_id, "table": table.table, "after": after, "until": until}
                await self.jobs.insert(Job(self.run.tenant, PART, name, given, datetime.now(UTC)))

    async def _parts(self, table: str | None = None) -> list[Job]:
        found = [each for each in await self.jobs.listed(self.run.tenant, PART) if each.given["run"] == self.run.job_id]
        return [each for each in reversed(found) if table is None or each.given["table"] == table]

    async def _one_part(self, heard: Progress = lambda _: None) -> bool:
        """Takes up a range that nobody works on; False where there is none."""
        for part in await self._parts():
            if not part.open:
                continue
            if is_dead(part.owner):
                await self.jobs.forsake(part)
            taken = await self.jobs.take((PART,), self.owner, only=part)
            if taken:
                with suppress(LeaseLost):  # It was thought dead: another process does the range.
                    await self._do(taken, heard)
                return True
        return False

    async def _do(self, part: Job, heard: Progress) -> None:
        before = part.cursor or {}
        table = self._table(part.given["table"])
        report = table_report(before["report"]) if before else TableReport(table.table.table)
        parts = await self._parts(table.table.table)
        others = _sum(table.table, [each for each in parts if each.job_id != part.job_id])
        after = before.get("after") or part.given["after"]
        until = part.given["until"]
        span = Span(tuple(after) if after else None, tuple(until) if until else None)

        async def told(last: Row) -> None:
            await self._keep(part, list(last), report)
            whole = _sum(table.table, [])
            whole.join(others)
            whole.join(report)
            heard(whole)

        async with self._alive(part):
            await self.migration.part(table, span, self.run.job_id, report, told, others=others)
        if report.stopped or not report.rows:
            await self._keep(part, after, report)
        await self.jobs.end(part, "finished", kept=RESUMED)

    async def _keep(self, part: Job, after: Any, report: TableReport) -> None:
        """How far a range is and what was counted, both at once: a row counts once, whoever takes the range up."""
        await self.jobs.advance(part, cursor={"after": after, "report": report.as_json()}, done=report.rows)

    def _table(self, name: str) -> Compiled:
        if name not in self._compiled:
            self._compiled[name] = compiled(self.migration.catalogue.tables[name], self.migration.catalogue)
        return self._compiled[name]

    @asynccontextmanager
    async def _alive(self, job: Job) -> AsyncIterator[None]:
        """The lease is kept while the work goes on."""

        async def beating() -> None:
            while True:
                await asyncio.sleep(ALIVE)
                await self.jobs.advance(job)

        heart = asyncio.create_task(beating())
        try:
            yield
        finally:
            heart.cancel()
            with suppress(asyncio.CancelledError, LeaseLost):
                await heart


def _sum(table: TableMapping, parts: Sequence[Job]) -> TableReport:
    report = TableReport(table.table)
    for part in parts:
        if part.cursor:
            report.join(table_report(part.cursor["report"]))
    return report
