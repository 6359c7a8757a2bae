"""`fhir-server retention rules`, `add-rule`, `remove-rule`: by what records are kept, and what a tenant adds."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, in_store, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.fhir import retention
from fhir_server.fhir.outcome import conflict, not_found
from fhir_server.jobs import retention as work
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords

app = typer.Typer(
    no_args_is_help=True, help="List the rules by which records are kept; add and remove those of a tenant."
)

Name = Annotated[str, typer.Argument(help="What the rule is called.")]


def rules(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the rules in force; of all that apply to a record the longest wins."""

    async def done(found: Store) -> list[dict[str, Any]]:
        return await work.rules(found, await tenant_of(found, tenant))

    listed = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    show(listed, as_json, lambda: _table(listed))


def add(
    name: Name,
    tenant: TenantName,
    source: Annotated[str, typer.Option(help="Which law, contract or policy says so.")],
    years: Annotated[int, typer.Option(help="Years from the event.")],
    of_class: Annotated[str, typer.Option("--class", help="Class of record.")] = "record",
    event: Annotated[str, typer.Option(help="What years are counted from: treatment or creation.")] = "treatment",
    minor_age: Annotated[int | None, typer.Option(help="For minors at least until this age.")] = None,
    minor_years: Annotated[int | None, typer.Option(help="For minors at least so many years from the event.")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a rule of the tenant's own. It can only make records be kept longer: no rule shortens another.

    [bold]Example[/]

      fhir-server retention add-rule payer --tenant riverside --source 'contract 17' --years 15
    """
    stated = {"age": minor_age, "years": minor_years}
    minor = {"minor": {part: value for part, value in stated.items() if value is not None}}
    rule = {"name": name, "source": source, "class": of_class, "event": event, "years": years, **minor}

    async def done(found: Store) -> None:
        if name in {each.name for each in retention.shipped()}:
            raise conflict(f"There is a rule '{name}' already.")
        retention.read(rule)
        records = FeatureRecords(found, await tenant_of(found, tenant))
        async with recorded(found, tenant, "tenant", f"retention rule {name}", action="add", years=years):
            await records.put([{"resourceType": work.RULE, "id": name, "rule": rule}])

    in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    show(rule, as_json, lambda: f"Records of {tenant} are kept by the rule {name}, too.")


def remove(
    name: Name, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Remove a rule of the tenant's own; those that are shipped stay."""

    async def done(found: Store) -> None:
        records = FeatureRecords(found, await tenant_of(found, tenant))
        async with recorded(found, tenant, "tenant", f"retention rule {name}", action="remove"):
            if not await records.delete(work.RULE, name):
                raise not_found("rule of its own", name)

    in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    show({"removed": name}, as_json, lambda: f"The rule {name} is gone.")


def _table(listed: list[dict[str, Any]]) -> Table:
    table = Table("rule", "class", "from", "years", "minors", "source", box=None)
    for each in listed:
        age = [f"age {each['minor_age']}"] if each["minor_age"] is not None else []
        years = [f"{each['minor_years']} years"] if each["minor_years"] is not None else []
        table.add_row(
            each["name"], each["of_class"], each["event"], str(each["years"]), ", ".join(age + years), each["source"]
        )
    return table
