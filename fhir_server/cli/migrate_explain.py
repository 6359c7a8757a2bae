"""`fhir-server migrate explain`: from a row to its elements, and from a resource to its row."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import unquote

import typer
from rich.console import Group
from rich.table import Table

from fhir_server.access.caller import Caller
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show
from fhir_server.cli.migrating import Key, Opened, Order, SourceName, SourceTenant, Url, explained, opened
from fhir_server.mapping.compile import compiled
from fhir_server.mapping.lineage import Element, Explained, read
from fhir_server.mapping.lineage import explained as lineage
from fhir_server.mapping.run import Options

HIDDEN = "•••"
ORIGIN = "urn:legacy:"


def explain(
    url: Url,
    tenant: TenantName,
    table: Annotated[str | None, typer.Argument(help="The table: clients.")] = None,
    pk: Annotated[str | None, typer.Argument(help="The key of the row.")] = None,
    resource: Annotated[str | None, typer.Option(help="A resource in place of a row: Patient/<id>.")] = None,
    source: SourceName = "pms",
    show_values: Annotated[bool, typer.Option("--show-values", help="Also what the row says.")] = False,
    source_tenant: SourceTenant = None,
    key: Key = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say of each element which column it comes from, through which converters; or from which row a resource comes.

    [bold]Examples[/]

      fhir-server migrate explain clients 7 --from sqlite:///practice.db --tenant riverside
      fhir-server migrate explain --resource Patient/f2a8… --from sqlite:///practice.db --tenant riverside
    """
    if (resource is None) == (table is None or pk is None):
        fail("Name a row, by its table and key, or a resource with --resource.", code=2)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    order = Order(chosen, source, url, tenant, [], key or [], Options(source_tenant))
    with explained():
        found = run(_explained(order, table, pk, resource))
    result = [_json(each, values=show_values) for each in found]
    show(result, as_json, lambda: Group(*(_table(each) for each in result)))


async def _explained(order: Order, table: str | None, pk: str | None, resource: str | None) -> list[Explained]:
    async with opened(order) as found:
        if resource is not None:
            table, pk = await _row_of(found, order.source, resource)
        assert table is not None
        assert pk is not None
        migration = found.migration
        mapping = migration.catalogue.tables.get(table)
        if mapping is None:
            raise ValueError(f"There is no declaration of the table '{table}'.")
        rows = migration.rows(compiled(mapping, migration.catalogue))
        there = await asyncio.to_thread(read, rows, mapping, pk)
        if there is None:
            raise ValueError(f"{table} has no row with the key '{pk}'.")
        told = lineage(mapping, migration.catalogue, *there, migration.context)
        return [each for each in told if resource in (None, each.reference)]


async def _row_of(found: Opened, source: str, resource: str) -> tuple[str, str]:
    """The table and key that the resource itself names as its source.  https://hl7.org/fhir/R4/resource.html#Meta"""
    resource_type, _, resource_id = resource.partition("/")
    repository = found.store.repository(found.tenant, Caller.system(found.tenant.name, "migration"))
    version = await repository.current(resource_type, resource_id)
    origin = str(version.resource().get("meta", {}).get("source", ""))
    if not origin.startswith(f"{ORIGIN}{source}:"):
        raise ValueError(f"{resource} does not come from {source}.")
    table, _, pk = origin.removeprefix(f"{ORIGIN}{source}:").partition(":")
    if pk.startswith("~"):
        raise ValueError(f"{resource} comes from several rows of {table}: those with '{unquote(pk)[1:]}'.")
    return table, unquote(pk)


def _json(found: Explained, *, values: bool) -> dict[str, Any]:
    elements = [_element(each, values=values) for each in found.elements]
    return {"output": found.output, "resource": found.reference, "elements": elements}


def _element(found: Element, *, values: bool) -> dict[str, Any]:
    fixed = not found.columns
    return {
        "path": found.path,
        "columns": list(found.columns),
        "converters": list(found.converters),
        "value": str(found.value) if values or fixed else HIDDEN,
    }


def _table(found: dict[str, Any]) -> Table:
    """What comes from the row; what is the same for every row is only counted."""
    table = Table("element", "column", "through", "value", box=None, title_justify="left")
    table.title = f"{found['output']}  {found['resource']}"
    own = [each for each in found["elements"] if each["columns"]]
    for each in own:
        path = each["path"].partition(".")[2]
        table.add_row(path, ", ".join(each["columns"]), " | ".join(each["converters"]), each["value"])
    table.add_row(f"and {len(found['elements']) - len(own)} that are fixed")
    return table
