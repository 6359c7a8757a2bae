"""`fhir-server migrate coverage`: how much of a source becomes FHIR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from fhir_server.access.caller import Caller
from fhir_server.cli.common import DataDir, Json, MongoUrl, run, settings, show, tenant_of
from fhir_server.cli.migrating import SourceName, Tables, explained, names
from fhir_server.mapping import coverage as covered
from fhir_server.mapping import migration, walk
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.coverage import Share, Stored
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.mappings import MappingStates

Result = dict[str, Any]


def coverage(
    source: SourceName = "pms",
    tables: Tables = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Also what runs have stored here.")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show which columns are used and why others are not, must-supports of claimed profiles, and the share of codes.

    Without a tenant it is told of the declarations, and no database is needed.

    [bold]Examples[/]

      fhir-server migrate coverage --source pms
      fhir-server migrate coverage --source pms --tenant riverside
    """
    with explained():
        found = migration.declared(source)
        result = _declared(found, names(tables))
        if tenant:
            chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
            result |= run(_stored(chosen, found, tenant, set(names(tables))))
    show(result, as_json, lambda: Group(*_shown(result)))


def _declared(found: Catalogue, tables: list[str]) -> Result:
    chosen = list(migration.chosen(found, tables))
    columns = [asdict(each) for each in covered.columns(chosen)]
    missing = [name for name in found.documented if name not in found.tables]
    return {
        "source": found.source,
        "columns": columns,
        "undeclared": missing,
        "profiles": [asdict(each) for each in covered.claims(found, chosen)],
        "concepts": [asdict(each) for each in covered.shares(covered.declared_concepts(chosen))],
    }


async def _stored(chosen: Settings, found: Catalogue, tenant: str, tables: set[str]) -> Result:
    async with store_of(chosen) as store:
        known = await tenant_of(store, tenant)
        counted = Stored(migration.declared(found.source, known))
        repository = store.repository(known, Caller.system(tenant, "migration"))
        async for page in walk.living(MappingStates(store, known), repository, found.source):
            for state, resource in page:
                if resource and (not tables or state["source_table"] in tables):
                    counted.add(resource)
    profiles = [
        {"profile": name, "resources": count, "supports": dict(counted.supports[name])}
        for name, count in sorted(counted.resources.items())
    ]
    concepts = [asdict(each) for each in covered.shares(counted.concepts)]
    return {"tenant": tenant, "stored": {"profiles": profiles, "concepts": concepts}}


def _shown(result: Result) -> Iterator[Any]:
    yield _columns(result["columns"])
    if any(each["dropped"] for each in result["columns"]):
        yield _reasons(result["columns"])
    yield from (f"There is no declaration of {name}." for name in result["undeclared"])
    if result["profiles"]:
        yield _profiles(result["profiles"])
    yield _sum("Places for concepts that may carry a code", result["concepts"])
    if "stored" in result:
        if result["stored"]["profiles"]:
            yield _stored_profiles(result)
        yield _stored_concepts(result["stored"]["concepts"])
        yield _sum("Stored concepts that carry a code", result["stored"]["concepts"])


def _titled(title: str, *columns: str) -> Table:
    return Table(*columns, box=None, title=title, title_justify="left")


def _columns(found: list[Result]) -> Table:
    table = _titled("Columns", "table", "used", "dropped")
    for each in found:
        table.add_row(each["table"], str(len(each["used"])), str(len(each["dropped"])))
    used, dropped = (sum(len(each[part]) for each in found) for part in ("used", "dropped"))
    table.add_row(f"all {len(found)}", str(used), str(dropped))
    return table


def _reasons(found: list[Result]) -> Table:
    table = _titled("Dropped", "column", "why")
    for each in found:
        for column, why in each["dropped"].items():
            table.add_row(f"{each['table']}.{column}", why)
    return table


def _profiles(found: list[Result]) -> Table:
    table = _titled("Must-supports that the declarations have a place for", "profile", "met", "of", "not met")
    for each in found:
        met, missing = each["supported"], each["unsupported"]
        table.add_row(each["profile"], str(len(met)), str(len(met) + len(missing)), ", ".join(missing))
    return table


def _stored_profiles(result: Result) -> Table:
    """What all resources have is not listed."""
    table = _titled("Must-supports that are stored", "profile", "resources", "in all", "in some", "in none")
    wanted = {each["profile"]: [*each["supported"], *each["unsupported"]] for each in result["profiles"]}
    for each in result["stored"]["profiles"]:
        count, has = each["resources"], each["supports"]
        elements = wanted.get(each["profile"], list(has))
        some = [f"{name} {has[name] / count:.0%}" for name in elements if 0 < has.get(name, 0) < count]
        whole = sum(has.get(name, 0) == count for name in elements)
        none = len(elements) - whole - len(some)
        table.add_row(each["profile"], f"{count:,}", str(whole), ", ".join(some), str(none))
    return table


def _stored_concepts(found: list[Result]) -> Table:
    """Where all carry a code there is nothing to say."""
    table = _titled("Stored concepts of which some are words only", "element", "with a code", "words only", "share")
    for each in (Share(**one) for one in found):
        if each.text:
            table.add_row(each.path, f"{each.coded:,}", f"{each.text:,}", f"{each.share:.0%}")
    return table


def _sum(title: str, found: list[Result]) -> str:
    coded, text = (sum(each[part] for each in found) for part in ("coded", "text"))
    return f"{title}: {coded:,} of {coded + text:,}" + (f", {coded / (coded + text):.0%}" if coded + text else "")
