"""`fhir-server migrate writeback`: changes of resources, back into the rows they come from."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

import typer
from rich.console import Group
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, errors, run, settings, show
from fhir_server.cli.migrating import Key, Order, SourceName, SourceTenant, Tables, explained, names, opened
from fhir_server.cli.recording import recorded
from fhir_server.mapping.run import Options
from fhir_server.mapping.target import Target
from fhir_server.mapping.writeback import CONFLICT, REFUSED, STATUSES, Edit, written_back


def writeback(
    url: Annotated[str, typer.Option("--to", help="The legacy database, as SQLAlchemy names it, open for writing.")],
    tenant: TenantName,
    source: SourceName = "pms",
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="Write the rows, or only say what waits.")] = False,
    prefer: Annotated[
        Literal["source", "server"] | None,
        typer.Option(help="Who is right about a row that was changed on both sides; else it stays as it is."),
    ] = None,
    tables: Tables = None,
    source_tenant: SourceTenant = None,
    key: Key = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write what was changed of resources through the API into the columns that mappings/SOURCE/writeback.yaml names.

    Ends with 1 where a change could not go back: it stays, with its reason.

    [bold]Examples[/]

      fhir-server migrate writeback --source pms --to sqlite:///practice.db --tenant riverside
      fhir-server migrate writeback --source pms --to sqlite:///practice.db --tenant riverside --apply
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    order = Order(chosen, source, url, tenant, names(tables), key or [], Options(source_tenant), dry_run=not apply)
    with explained():
        edits = run(_written(order, prefer, quiet=as_json))
    counted = Counter(each.status for each in edits)
    counts = {status: counted[status] for status in STATUSES}
    show({"counts": counts, "edits": [each.as_json() for each in edits]}, as_json, lambda: _described(counts, edits))
    if counts[CONFLICT] or counts[REFUSED]:
        raise typer.Exit(1)


async def _written(order: Order, prefer: str | None, *, quiet: bool) -> list[Edit]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    async with opened(order) as found:
        target = None if order.dry_run else Target(order.url)
        with Progress(*columns, console=errors, disable=quiet, transient=True) as bar:
            task = bar.add_task("")
            try:
                edits = await written_back(
                    found.migration,
                    target,
                    prefer=prefer,
                    tables=order.tables,
                    told=lambda table, looked, edits: bar.update(
                        task, description=f"{table}: {looked:,} resources, {edits:,} changed"
                    ),
                )
                if not order.dry_run:
                    async with recorded(found.store, order.tenant, "write-back", order.source, rows=len(edits)):
                        return edits
                return edits
            finally:
                if target:
                    target.close()


def _described(counts: dict[str, int], edits: list[Edit]) -> Group:
    rows = Table("table", "key", "status", "columns", "why", box=None)
    for each in edits:
        rows.add_row(each.table, each.key, each.status, ", ".join(each.columns), each.reason or "")
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return Group(*([rows] if edits else []), f"{summary or 'Nothing waits'}.")
