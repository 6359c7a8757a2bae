"""`fhir-server migrate …`: legacy rows in, FHIR resources out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    TenantName,
    errors,
    fail,
    run,
    settings,
    show,
    tenant_of,
)
from fhir_server.mapping import migration
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.compile import compiled
from fhir_server.mapping.outcome import QUARANTINED, STATUSES, WITH_WARNINGS, Report, TableReport
from fhir_server.mapping.problem import MappingError
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source, SourceError
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.mappings import MappingStates

app = typer.Typer(no_args_is_help=True, help="Translate legacy rows into resources.")

SourceName = Annotated[str, typer.Option("--source", help="The source system, a folder of mappings/: pms.")]
Url = Annotated[str, typer.Option("--from", help="The legacy database, as SQLAlchemy names it: sqlite:///practice.db.")]
Tables = Annotated[list[str] | None, typer.Option("--tables", help="Only these tables; repeatable, or with commas.")]
SHOWN = 10
SHORT = {WITH_WARNINGS: "with warnings"}


@app.command()
def check(
    source: SourceName = "pms",
    from_: Annotated[str | None, typer.Option("--from", help="A database to compare the declarations with.")] = None,
    tables: Tables = None,
    python: Annotated[bool, typer.Option("--python", help="Print the Python that the declarations become.")] = False,
    as_json: Json = False,
) -> None:
    """Prove the declarations against R4, and against a database, before a row is read.

    [bold]Examples[/]

      fhir-server migrate check --source pms
      fhir-server migrate check --source pms --from sqlite:///practice.db
    """
    with _explained():
        found = migration.declared(source)
        wanted = list(migration.chosen(found, _names(tables)))
        with _opened(from_) as database:
            problems = migration.problems(found, database, _names(tables))
    if python and not any(each.severity == "error" for each in problems):
        sys.stdout.write("\n\n".join(compiled(each, found).source for each in wanted))
        return
    result = [{"file": p.file, "line": p.line, "severity": p.severity, "message": p.message} for p in problems]
    faults = sum(each.severity == "error" for each in problems)
    summary = f"{len(wanted)} tables, {faults} errors, {len(problems) - faults} warnings."
    show(result, as_json, lambda: "\n".join([*map(str, problems), summary]))
    if faults:
        raise typer.Exit(1)


@app.command("run")
def run_(
    url: Url,
    tenant: TenantName,
    source: SourceName = "pms",
    tables: Tables = None,
    source_tenant: Annotated[
        str | None, typer.Option(help="Whose rows, where the database has several tenants.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Key of encrypted columns as class=key, such as pii=…; repeatable.", envvar="FHIR_LEGACY_KEYS"
        ),
    ] = None,
    page: Annotated[int, typer.Option(min=1, max=10_000, help="Rows that are read at a time.")] = 500,
    error_limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a table's rows in quarantine that ends the run.")
    ] = 0.05,
    since: Annotated[str | None, typer.Option(help="Only rows changed since: 2025-06-30 12:00:00.")] = None,
    reconcile: Annotated[bool, typer.Option("--reconcile", help="Also retire what rows became that are gone.")] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Translate rows. What has not changed since the last run is left alone, so that it can be repeated at any time.

    [bold]Example[/]

      fhir-server migrate run --source pms --from sqlite:///practice.db --tenant riverside
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    options = Options(source_tenant, page, error_limit, since, reconcile)
    with _explained():
        report = run(_run(chosen, source, url, tenant, _names(tables), key or [], options, as_json))
    show(report.as_json(), as_json, lambda: described(report))
    if report.failed:
        raise typer.Exit(1)


async def _run(
    chosen: Settings,
    source: str,
    url: str,
    tenant: str,
    tables: list[str],
    key: list[str],
    options: Options,
    quiet: bool,
) -> Report:
    with _opened(url) as database:
        assert database is not None
        async with store_of(chosen) as found:
            of = await tenant_of(found, tenant)
            catalogue = migration.declared(source, of)
            whose = migration.whose(catalogue, database, tenant, options.source_tenant)
            with progress_bars(catalogue, database, whose, quiet=quiet) as told:
                return await migration.migrate(
                    found,
                    of,
                    catalogue,
                    database,
                    opening=migration.keys(catalogue, key),
                    options=replace(options, source_tenant=whose),
                    tables=tables,
                    progress=told,
                )


@app.command()
def status(
    tenant: TenantName,
    source: SourceName = "pms",
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what became of the rows of a source, and the first of those that are in quarantine."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> dict[str, Any]:
        async with store_of(chosen) as found:
            states = MappingStates(found, await tenant_of(found, tenant))
            quarantined = await states.with_status(source, QUARANTINED, limit=SHOWN)
            return {"outputs": await states.counts(source), "quarantined": [_row(each) for each in quarantined]}

    result = run(work())
    show(result, as_json, lambda: _status(result))


def _row(state: Any) -> dict[str, Any]:
    return {"table": state["source_table"], "key": state["source_pk"], "errors": state["errors"]}


def _status(result: dict[str, Any]) -> Group:
    names = (SHORT.get(each, each) for each in STATUSES)
    counts = Table("table", *names, box=None, title="Resources by the state of their row", title_justify="left")
    for table, found in sorted(result["outputs"].items()):
        counts.add_row(table, *(str(found.get(each, 0)) for each in STATUSES))
    rows = Table("table", "key", "code", "where", box=None, title="In quarantine", title_justify="left")
    for each in result["quarantined"]:
        for finding in each["errors"]:
            rows.add_row(each["table"], each["key"], finding["code"], finding["column"] or finding["path"])
    return Group(counts, *([rows] if result["quarantined"] else []))


def described(report: Report) -> Group:
    """The counts of a run, what was found in the data, and what is not there to refer to."""
    met = [status for status in STATUSES if any(each.counts[status] for each in report.tables)]
    counts = Table("table", "rows", *(SHORT.get(status, status) for status in met), "resources", "rows/s", box=None)
    for each in report.tables:
        written = sum(each.resources.values())
        numbers = (each.rows, *(each.counts[status] for status in met), written)
        counts.add_row(each.table, *map(str, numbers), f"{each.rate:,.0f}")
    notes = [line for each in report.tables for line in _notes(each)]
    return Group(counts, *notes)


def _notes(report: TableReport) -> Iterator[str]:
    if report.stopped:
        yield f"[bold red]{report.table} was stopped:[/] {report.stopped} See fhir-server migrate status."
    if report.still_quarantined:
        yield f"{report.table}: {report.still_quarantined} unchanged rows are still in quarantine."
    if report.removed:
        yield f"{report.table}: {report.removed} rows are gone from the source; what they became is retired."
    for finding, count in report.findings.most_common(SHOWN):
        yield f"{report.table}: {count} × {finding}"
    for reference, count in report.dangling.items():
        yield f"{report.table}: {count} × DANGLING_REF {reference}"


@contextmanager
def progress_bars(catalogue: Catalogue, source: Source, whose: str | None, *, quiet: bool) -> Iterator[Any]:
    """A bar for each table: rows, rows per second, time that is left, rows in quarantine."""
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>8} rows/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[bad]}"),
    )
    with Progress(*columns, console=errors, disable=quiet) as bars:
        tasks: dict[str, TaskID] = {}

        def told(report: TableReport) -> None:
            if report.table not in tasks:
                total = source.count(catalogue.tables[report.table], whose)
                tasks[report.table] = bars.add_task(report.table, total=total, rate="", bad="")
            bad = f"[red]{report.counts[QUARANTINED]} in quarantine[/]" if report.counts[QUARANTINED] else ""
            bars.update(tasks[report.table], completed=report.rows, rate=f"{report.rate:,.0f}", bad=bad)

        yield told


@contextmanager
def _opened(url: str | None) -> Iterator[Source | None]:
    source = Source(url) if url else None
    try:
        yield source
    finally:
        if source:
            source.close()


@contextmanager
def _explained() -> Iterator[None]:
    """Declarations and sources that do not fit are sentences, not tracebacks."""
    try:
        yield
    except MappingError as fault:
        fail("the declarations do not hold.\n" + "\n".join(map(str, fault.problems)))
    except (SourceError, ValueError) as fault:
        fail(str(fault), code=2)
    except SQLAlchemyError as fault:
        fail(f"the source cannot be read: {str(fault).partition(chr(10))[0]}")


def _names(tables: list[str] | None) -> list[str]:
    return [name.strip() for each in tables or () for name in each.split(",") if name.strip()]
