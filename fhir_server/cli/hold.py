"""`fhir-server hold …`: legal holds, under which nothing is deleted or destroyed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, in_store, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.fhir.resource import LOCAL_REFERENCE
from fhir_server.store.connection import Store
from fhir_server.store.holds import Hold

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Place, list and release legal holds.")

Reason = Annotated[str, typer.Option(help="Why, for the record; it stays readable, so name the case and no patient.")]
By = Annotated[str, typer.Option("--by", help="Who orders it, for the record.")]


@app.command()
def place(
    subject: Annotated[str, typer.Argument(help="What it is on, such as Patient/p1.")],
    tenant: TenantName,
    reason: Reason,
    by: By,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Keep a resource, or all that is in the compartment of a patient, until the hold is released.

    What is under hold cannot be deleted (409), and neither retention nor the shredding of keys destroys it.

    [bold]Example[/]

      fhir-server hold place Patient/p1 --tenant riverside --reason 'case 24-117' --by 'J. Doe, counsel'
    """
    if not LOCAL_REFERENCE.match(subject):
        fail(f"'{subject}' must be a type and an id, such as Patient/p1.")

    async def work(found: Store) -> Hold:
        of = await tenant_of(found, tenant)
        async with recorded(found, tenant, "hold", subject, action="place", by=by) as said:
            held = await found.holds.place(of, subject, reason, by)
            said["hold"] = held.name
        return held

    hold = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    show(_described(hold), as_json, lambda: f"{hold.subject} is under the legal hold {hold.name}.")


@app.command()
def release(
    name: Annotated[str, typer.Argument(help="Id of the hold.")],
    tenant: TenantName,
    reason: Reason,
    by: By,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """End a hold; who placed and who released it, and why, stays on record."""

    async def work(found: Store) -> Hold:
        of = await tenant_of(found, tenant)
        async with recorded(found, tenant, "hold", name, action="release", by=by):
            return await found.holds.release(of, name, reason, by)

    hold = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    show(_described(hold), as_json, lambda: f"{hold.subject} is no longer under the legal hold {hold.name}.")


@app.command("list")
def list_(
    tenant: TenantName,
    every: Annotated[bool, typer.Option("--all", help="Also holds that were released.")] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the holds in force."""

    async def work(found: Store) -> list[Hold]:
        return await found.holds.listed(await tenant_of(found, tenant), released=every)

    holds = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    show([_described(each) for each in holds], as_json, lambda: _table(holds))


def _described(hold: Hold) -> dict[str, Any]:
    return asdict(hold) | {"active": hold.active}


def _table(holds: list[Hold]) -> Table:
    table = Table("hold", "on", "placed", "by", "reason", "released", box=None)
    for each in holds:
        table.add_row(
            each.name, each.subject, each.placed[:10], each.placed_by, each.reason, (each.released or "")[:10]
        )
    return table
