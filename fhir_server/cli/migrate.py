"""`fhir-server migrate …`: legacy rows in, FHIR resources out."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer

from fhir_server.cli import (
    migrate_coverage,
    migrate_drift,
    migrate_explain,
    migrate_report,
    migrate_retry,
    migrate_shown,
    migrate_sync,
    migrate_writeback,
)
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
from fhir_server.cli.migrate_workers import helpers, shared
from fhir_server.cli.migrating import (
    Key,
    MaybeUrl,
    Opened,
    Order,
    Rows,
    SourceName,
    SourceTenant,
    Tables,
    Url,
    explained,
    names,
    opened,
    progress_bars,
    source_at,
)
from fhir_server.cli.recording import recorded, summary
from fhir_server.mapping import migration
from fhir_server.mapping.compile import compiled
from fhir_server.mapping.outcome import QUARANTINED, Report
from fhir_server.mapping.run import PAGE, Options
from fhir_server.mapping.shared_run import RANGE, begun
from fhir_server.opening import store_of
from fhir_server.store.mappings import MappingStates

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Translate legacy rows into resources.")


@app.command()
def check(
    source: SourceName = "pms",
    from_: MaybeUrl = None,
    tables: Tables = None,
    python: Annotated[bool, typer.Option("--python", help="Print the Python that the declarations become.")] = False,
    as_json: Json = False,
) -> None:
    """Prove the declarations against R4, and against a database, before a row is read.

    [bold]Examples[/]

      fhir-server migrate check --source pms
      fhir-server migrate check --source pms --from sqlite:///practice.db
    """
    with explained():
        found = migration.declared(source)
        wanted = list(migration.chosen(found, names(tables)))
        with source_at(from_) as database:
            problems = migration.problems(found, database, names(tables))
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
    source_tenant: SourceTenant = None,
    key: Key = None,
    page: Rows = PAGE,
    error_limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a table's rows in quarantine that ends the run.")
    ] = 0.05,
    since: Annotated[str | None, typer.Option(help="Only rows changed since: 2025-06-30 12:00:00.")] = None,
    reconcile: Annotated[bool, typer.Option("--reconcile", help="Also retire what rows became that are gone.")] = False,
    provenance: Annotated[
        Literal["row", "batch", "off"] | None,
        typer.Option(help="A Provenance by row, by page, or none, whatever is declared."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Map and validate and compare, and write nothing: the same report.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the run; each takes a core.")] = 1,
    rows: Annotated[int, typer.Option("--range", min=1, help="Rows that a process takes up at a time.")] = RANGE,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Translate rows. What has not changed since the last run is left alone, so that it can be repeated at any time.

    A run that was killed goes on where it was when the command is given again. Given while it is under way, the
    command joins in.

    [bold]Examples[/]

      fhir-server migrate run --source pms --from sqlite:///practice.db --tenant riverside
      fhir-server migrate run --source pms --from postgresql://reader@host/practice --tenant riverside --workers 4
      fhir-server migrate run --source pms --from sqlite:///practice.db --tenant riverside --dry-run
    """
    if dry_run and workers > 1:
        fail("A dry run is done by one process: leave out --workers.", code=2)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    options = Options(source_tenant, page, error_limit, since, reconcile, provenance)
    order = Order(chosen, source, url, tenant, names(tables), key or [], options, dry_run)
    with explained():
        report = run(_run(order, workers, rows, quiet=as_json))
    show(report.as_json(), as_json, lambda: migrate_shown.described(report))
    if report.failed:
        raise typer.Exit(1)


async def _run(order: Order, workers: int, rows: int, *, quiet: bool) -> Report:
    async with opened(order) as found:
        at = found.migration
        with progress_bars(at.catalogue, at.source, at.options.source_tenant, quiet=quiet) as told:
            if order.dry_run:
                return await found.migration.run(order.tables, told)
            async with recorded(found.store, order.tenant, "migration", order.source) as said:
                report = await _shared(order, found, workers, rows, told, quiet=quiet)
                said.update(summary(report))
            return report


async def _shared(order: Order, found: Opened, workers: int, rows: int, told: Any, *, quiet: bool) -> Report:
    job, left = await begun(found.store.jobs, found.migration, order.tables)
    if left and not quiet:
        errors.print(f"Going on with the run of {job.created:%Y-%m-%d %H:%M} UTC, which had not ended.")
    with helpers(order, job, workers - 1, rows):
        return await shared(found, job, rows).work(told)


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
            quarantined = await states.with_status(source, QUARANTINED, limit=migrate_shown.SHOWN)
            return {
                "outputs": await states.counts(source),
                "quarantined": [migrate_shown.row(each) for each in quarantined],
            }

    result = run(work())
    show(result, as_json, lambda: migrate_shown.status(result))


app.command("sync")(migrate_sync.sync)
app.command("retry")(migrate_retry.retry)
app.command("writeback")(migrate_writeback.writeback)
app.command("explain")(migrate_explain.explain)
app.command("coverage")(migrate_coverage.coverage)
app.command("drift")(migrate_drift.drift)
app.command("report")(migrate_report.report)
