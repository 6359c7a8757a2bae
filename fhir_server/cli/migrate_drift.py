"""`fhir-server migrate drift`: what has become of a source since it was last read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show, tenant_of
from fhir_server.cli.migrating import SourceName, Url, explained, source_at
from fhir_server.mapping import migration, snapshot
from fhir_server.mapping.drift import Comparison
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.mapping_runs import MappingRuns

GONE = frozenset({"table gone", "column gone", "column renamed"})


def drift(
    url: Url,
    tenant: TenantName,
    source: SourceName = "pms",
    show_values: Annotated[bool, typer.Option("--show-values", help="Also the new words themselves.")] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Compare the source with what the last run has seen of it: tables, columns, types, words of enumerations.

    Ends with exit code 1 where a declaration no longer says what the source has.

    [bold]Example[/]

      fhir-server migrate drift --source pms --from sqlite:///practice.db --tenant riverside
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    with explained():
        result = run(_compared(chosen, source, url, tenant, show_values=show_values))
    show(result, as_json, lambda: Group(*_shown(result)))
    if any(each["matters"] for each in result["drift"]):
        raise typer.Exit(1)


async def _compared(chosen: Settings, name: str, url: str, tenant: str, *, show_values: bool) -> dict[str, Any]:
    with source_at(url) as database:
        assert database is not None
        async with store_of(chosen) as store:
            known = await tenant_of(store, tenant)
            kept = await MappingRuns(store, known).last(name)
            if kept is None:
                fail(f"No run of {name} has been in the tenant '{tenant}': there is nothing to compare with.", code=2)
            key = snapshot.row_key(await store.keys.cursor(known.name))
            declared = migration.declared(name, known)
        database.expect(declared.tables)
        comparison = Comparison(database, declared, kept, key)
        found = await asyncio.to_thread(comparison.structure)
        whole = not any(each.kind in GONE for each in found)
        if whole:
            found += await asyncio.to_thread(comparison.values)
    return {
        "source": name,
        "tenant": tenant,
        "run": kept["run"],
        "at": kept["at"],
        "values_compared": whole,
        "drift": [asdict(each if show_values else replace(each, word=None)) for each in found],
    }


def _shown(result: dict[str, Any]) -> Iterator[Any]:
    found = result["drift"]
    if not found:
        yield "Nothing has changed since the last run."
        return
    table = Table("table", "column", "what", "", box=None, title="Since the last run", title_justify="left")
    for each in sorted(found, key=lambda each: not each["matters"]):
        what = f"[bold red]{each['kind']}[/]" if each["matters"] else each["kind"]
        word = f" '{each['word']}'" if each["word"] else ""
        table.add_row(each["table"], each["column"], what, each["message"] + word)
    yield table
    if not result["values_compared"]:
        yield "Values were not compared, because columns are gone."
    matters = sum(each["matters"] for each in found)
    yield f"Differences: {len(found)}. To the declarations matter: {matters}."
