"""`fhir-server migrate sync`: follows a legacy database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer

from fhir_server.cli import migrate_shown
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, console, run, settings, show
from fhir_server.cli.migrating import (
    Key,
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
)
from fhir_server.cli.recording import recorded, summary
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import PAGE, Options
from fhir_server.mapping.sync import OVERLAP, Sync
from fhir_server.store.mapping_runs import MappingRuns


def sync(
    url: Url,
    tenant: TenantName,
    source: SourceName = "pms",
    tables: Tables = None,
    source_tenant: SourceTenant = None,
    key: Key = None,
    page: Rows = PAGE,
    once: Annotated[bool, typer.Option("--once", help="Read what has changed and end.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds from one look to the next.")] = 60,
    overlap: Annotated[
        int, typer.Option(min=0, help="Minutes that are read again, for changes that became visible late.")
    ] = int(OVERLAP.total_seconds() // 60),
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Follow a source: translate the rows that have changed, again and again until interrupted.

    The first time, each table is read whole. Once a day its keys are compared, to find rows that are gone.

    [bold]Examples[/]

      fhir-server migrate sync --source pms --from postgresql://reader@host/practice --tenant riverside
      fhir-server migrate sync --source pms --from sqlite:///practice.db --tenant riverside --once
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    order = Order(chosen, source, url, tenant, names(tables), key or [], Options(source_tenant, page))
    with explained():
        report = run(_followed(order, timedelta(minutes=overlap), None if once else every, quiet=as_json))
    show(report.as_json(), as_json, lambda: migrate_shown.described(report))
    if report.failed:
        raise typer.Exit(1)


async def _followed(order: Order, overlap: timedelta, every: float | None, *, quiet: bool) -> Report:
    """The report of the only time, or of the first that was stopped by bad rows."""
    async with opened(order) as found:
        follower = Sync(found.migration, MappingRuns(found.store, found.tenant), overlap=overlap)
        at = found.migration
        while True:
            bars = progress_bars(at.catalogue, at.source, at.options.source_tenant, quiet=quiet or every is not None)
            with bars as told:
                report = await follower.once(found.tables, told)
            if any(each.resources for each in report.tables):
                async with recorded(found.store, order.tenant, "migration", order.source, **summary(report)):
                    pass
            if every is None or report.failed:
                return report
            _say(report, quiet=quiet)
            await asyncio.sleep(every)


def _say(report: Report, *, quiet: bool) -> None:
    """One line a look, where there was anything new."""
    written: dict[str, Any] = {each.table: sum(each.resources.values()) for each in report.tables}
    told = ", ".join(f"{count:,} of {table}" for table, count in written.items() if count)
    if told and not quiet:
        console.print(f"{report.started:%Y-%m-%d %H:%M:%S} resources written: {told}", soft_wrap=True)
