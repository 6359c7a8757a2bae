"""`fhir-server load`: bundles, resources and NDJSON from files into a tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fhir_server.access.caller import Caller
from fhir_server.cli import files
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, errors, run, settings, show, tenant_of
from fhir_server.cli.loading import Loading, Result
from fhir_server.cli.recording import recorded
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import context
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.connection import Store

app = typer.Typer(add_completion=False)

SHOWN = 20
"""Failures that are printed for a person; a program gets all of them."""


@app.command()
def load(
    tenant: TenantName,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders: .json, .ndjson, also .gz.", exists=True)],
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Store bundles, resources and NDJSON.

    A transaction Bundle is stored whole or not at all; resources keep their ids, and loading the same again changes
    nothing. The exit code is 1 where anything could not be stored.

    [bold]Examples[/]

      fhir-server load --tenant riverside patient-*.json
      fhir-server load --tenant riverside export/ more/Observation.ndjson.gz
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    result = run(_loaded(chosen, tenant, files.found(paths), quiet=as_json))
    show(_described(result), as_json, lambda: _table(result))
    for failure in [] if as_json else result.failures[:SHOWN]:
        errors.print(failure, style="red", markup=False, highlight=False)
    if result.failures:
        raise typer.Exit(1)


async def _loaded(chosen: Settings, tenant: str, paths: list[Path], *, quiet: bool) -> Result:
    async with store_of(chosen) as found:
        loading = Loading(await _context(chosen, found, tenant))
        async with recorded(found, tenant, "load", "files", files=len(paths)) as said:
            with _progress(quiet) as progress:
                bar = progress.add_task("Loading", total=sum(path.stat().st_size for path in paths))
                for path in paths:
                    for source in files.read(path, lambda read: progress.advance(bar, read)):
                        await loading.take(source)
                await loading.finish()
            said.update(loading.result.counts)
        return loading.result


async def _context(chosen: Settings, found: Store, name: str) -> Context:
    tenant = await tenant_of(found, name)
    return context(
        found.repository(tenant, Caller.system(name, "load")),
        base=f"{chosen.public_url}/fhir/{name}",
        cursor_key=await found.keys.cursor(name),
    )


def _progress(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=errors, disable=quiet)


def _described(result: Result) -> dict[str, Any]:
    names = ("created", "updated", "unchanged", "failed")
    return {**{name: result.counts[name] for name in names}, "failures": result.failures}


def _table(result: Result) -> Table:
    table = Table("resources", "", box=None)
    for name, count in sorted(result.counts.items()):
        table.add_row(name, f"{count:,}")
    return table
