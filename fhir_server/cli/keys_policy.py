"""`fhir-server keys policy …`: when data keys are replaced: after a time, so many uses, or when something happened."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, in_store, settings, show
from fhir_server.cli.keys_shared import encrypted
from fhir_server.cli.recording import account
from fhir_server.crypto.rotation import EVENT, EVENTS, TIME, USAGE
from fhir_server.fhir.outcome import not_found
from fhir_server.jobs import key_policies
from fhir_server.store.connection import Store
from fhir_server.store.key_records import REPORTED, KeyRecords

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Say when data keys are replaced.")

Name = Annotated[str, typer.Argument(help="What the policy is called.")]


@app.callback()
def policy() -> None:
    """Say when data keys are replaced. Servers apply the policies every hour."""


@app.command("list")
def list_(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the policies of a tenant, those of legacy systems included."""

    async def found(store: Store) -> list[dict[str, Any]]:
        return await KeyRecords(store, await encrypted(store, tenant)).policies()

    listed = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), found)
    table = Table("name", "trigger", "days", "uses", "events", "status", box=None)
    for each in listed:
        events = ", ".join(each.get("events") or [])
        numbers = [str(each.get(name) or "") for name in ("intervalDays", "maximumUses")]
        table.add_row(each["name"], each.get("trigger"), *numbers, events, each.get("status"))
    show(listed, as_json, lambda: table)


@app.command("set")
def set_(
    name: Name,
    tenant: TenantName,
    days: Annotated[int | None, typer.Option(min=1, help="Replace a key that is so old.")] = None,
    uses: Annotated[int | None, typer.Option(min=1, help="Replace a key that has sealed so much.")] = None,
    event: Annotated[
        list[str] | None, typer.Option(help=f"Replace it when this is reported: {', '.join(EVENTS)}.")
    ] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a policy, or change the one of that name: of time, of uses or of events.

    [bold]Examples[/]

      fhir-server keys policy set yearly --tenant riverside --days 365
      fhir-server keys policy set incidents --tenant riverside --event compromise --event staff-leaving
    """
    made = _made(name, days, uses, event or [])

    async def done(store: Store) -> None:
        records = KeyRecords(store, await encrypted(store, tenant))
        await records.put_policy(made)
        await records.tell("policy set", account(), why=name)

    in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    show(made, as_json, lambda: f"Policy [bold]{name}[/] of {tenant} is set.")


@app.command()
def drop(
    name: Name, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Remove a policy."""

    async def done(store: Store) -> None:
        records = KeyRecords(store, await encrypted(store, tenant))
        named = [each["id"] for each in await records.policies() if name in (each["name"], each["id"])]
        if not named:
            raise not_found("policy", name)
        for each in named:
            await records.drop_policy(each)
        await records.tell("policy dropped", account(), why=name)

    in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    show({"dropped": name}, as_json, lambda: f"Policy [bold]{name}[/] of {tenant} is dropped.")


@app.command()
def report(
    event: Annotated[str, typer.Argument(help=f"What has happened: {', '.join(EVENTS)}.")],
    tenant: TenantName,
    because: Annotated[str, typer.Option("--because", help="What is known of it.")] = "",
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Report that something has happened, and apply the policies at once."""
    if event not in EVENTS:
        raise typer.BadParameter(f"'{event}' is none of {', '.join(EVENTS)}.")

    async def done(store: Store) -> str | None:
        found = await encrypted(store, tenant)
        await store.key_versions(found).current()
        await KeyRecords(store, found).tell(REPORTED, account(), event=event, why=because)
        return await key_policies.of_tenant(store, found)

    why = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    said = f"The data key was replaced. {why}" if why else "No policy asks for another key."
    show({"tenant": tenant, "event": event, "rotated": why is not None, "why": why}, as_json, lambda: said)


def _made(name: str, days: int | None, uses: int | None, events: list[str]) -> dict[str, Any]:
    """Exactly one of the three makes a key due."""
    given: dict[str, tuple[str, Any]] = {
        TIME: ("intervalDays", days),
        USAGE: ("maximumUses", uses),
        EVENT: ("events", events),
    }
    triggers = [trigger for trigger, (_, value) in given.items() if value]
    unknown = [each for each in events if each not in EVENTS]
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(EVENTS)}.")
    if len(triggers) != 1:
        raise typer.BadParameter("A policy is of one kind: give --days, --uses or --event.")
    field, value = given[triggers[0]]
    return {"name": name, "trigger": triggers[0], "status": "active", field: value}
