"""`fhir-server reindex`: the search index of tenants, made again from the resources as they are stored."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, fail, run, settings, show, tenant_of
from fhir_server.cli.following import followed, progress_bar
from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import bad_value
from fhir_server.jobs import reindex as work
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.jobs import Job

app = typer.Typer(invoke_without_command=True, add_completion=False, help="Make the search index of tenants again.")

Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; repeatable.")]


@app.callback()
def reindex(
    ctx: typer.Context,
    tenant: Tenants = None,
    types: Annotated[str, typer.Option(help="Only these resource types, separated by commas.")] = "",
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make the search index again, for instance after an upgrade that indexes more.

    Resources are searched, read and written meanwhile. Whatever ends this command, the work goes on where it stopped:
    in a server that is running, or when the command is given again.

    [bold]Examples[/]

      fhir-server reindex
      fhir-server reindex --tenant riverside --types Patient,Observation
      fhir-server reindex status
    """
    if ctx.invoked_subcommand is None:
        wanted = [each for each in types.split(",") if each]
        chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
        jobs = run(_reindexed(chosen, tenant or [], wanted, quiet=as_json))
        show([work.described(each) for each in jobs], as_json, lambda: _table(jobs))
        if any(each.state != "finished" for each in jobs):
            fail("; ".join(each.error or f"{each.tenant} is {each.state}" for each in jobs if each.state != "finished"))


@app.command()
def status(tenant: Tenants = None, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show what is being indexed, how fast, and what was in the last days."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def listed() -> list[Job]:
        async with store_of(chosen) as found:
            jobs = await found.jobs.listed(kind=work.KIND)
            return [each for each in jobs if not tenant or each.tenant in tenant]

    jobs = run(listed())
    show([work.described(each) for each in jobs], as_json, lambda: _table(jobs))


async def _reindexed(chosen: Settings, names: list[str], types: list[str], *, quiet: bool) -> list[Job]:
    for each in types:
        if each not in definitions.resource_types():
            raise bad_value(f"'{each}' is not a resource type of FHIR R4.")
    async with store_of(chosen) as found:
        for name in names:
            await tenant_of(found, name)
        every = names or [each.name for each in await found.tenants.list()]
        jobs = [await work.ask(found, name, types) for name in every]
        with progress_bar(quiet) as progress:
            return [await followed(found, job, work.run, progress) for job in jobs]


def _table(jobs: list[Job]) -> Table:
    table = Table("tenant", "types", "state", "done", "rate", "left", "error", box=None)
    for each in jobs:
        table.add_row(*_row(each))
    return table


def _row(job: Job) -> list[Any]:
    types = job.given["types"]
    left = "" if job.seconds_left is None else f"{job.seconds_left} s"
    listed = ", ".join(types) if len(types) <= 3 else f"{len(types)} types"
    done = f"{job.percent} % of {job.total:,}"
    return [job.tenant, listed, job.state, done, f"{job.rate:,.0f}/s", left, job.error or ""]
