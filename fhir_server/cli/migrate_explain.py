"""`fhir-server migrate explain`: from a row to its elements, and from a resource to its row."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show
from fhir_server.cli.migrating import Key, Order, SourceName, SourceTenant, Url, explained, opened
from fhir_server.mapping import origin
from fhir_server.mapping.lineage import Element, Explained
from fhir_server.mapping.run import Options

HIDDEN = "•••"


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
            return await origin.of_resource(found.migration, resource)
        assert table is not None
        assert pk is not None
        return await origin.of_row(found.migration, table, pk)


def _json(found: Explained, *, values: bool) -> dict[str, Any]:
    elements = [_element(each, values=values) for each in found.elements]
    together = {"rows": list(found.rows)} if found.rows else {}
    return {"output": found.output, "resource": found.reference, **together, "elements": elements}


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
    if "rows" in found:
        table.title += f"  of the rows {', '.join(found['rows'])} together"
    own = [each for each in found["elements"] if each["columns"]]
    for each in own:
        path = each["path"].partition(".")[2]
        table.add_row(path, ", ".join(each["columns"]), " | ".join(each["converters"]), each["value"])
    table.add_row(f"and {len(found['elements']) - len(own)} that are fixed")
    return table
