"""`fhir-server migrate report`: whether a migration adds up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from fhir_server.access.caller import Caller
from fhir_server.cli import report_page
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show, tenant_of
from fhir_server.cli.migrating import MaybeUrl, SourceName, SourceTenant, explained, source_at
from fhir_server.cli.report_tables import Shown, sections
from fhir_server.mapping import migration
from fhir_server.mapping.reconciliation import Place, Reconciled, reconciled
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.mapping_runs import MappingRuns
from fhir_server.store.mappings import MappingStates


def report(
    tenant: TenantName,
    source: SourceName = "pms",
    from_: MaybeUrl = None,
    source_tenant: SourceTenant = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Also the values that no map knows, from the source.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Also write it as a page.", dir_okay=False)] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Reconcile: rows by what became of them, what is in quarantine and why, codes and references that led nowhere.

    With the source at hand (--from), its rows and its sums of money are compared as well. Ends with exit code 1 where
    a sum does not add up.

    [bold]Examples[/]

      fhir-server migrate report --source pms --tenant riverside
      fhir-server migrate report --source pms --from sqlite:///practice.db --tenant riverside --html report.html
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    with explained():
        found = run(_reconciled(chosen, source, from_, tenant, source_tenant, show_values=show_values))
    if html:
        _write(html, report_page.page(found))
    show({**asdict(found), "holds": found.holds}, as_json, lambda: Group(*_shown(found)))
    if not found.holds:
        raise typer.Exit(1)


async def _reconciled(
    chosen: Settings, source: str, url: str | None, tenant: str, whose: str | None, *, show_values: bool
) -> Reconciled:
    with source_at(url) as database:
        async with store_of(chosen) as store:
            known = await tenant_of(store, tenant)
            declared = migration.declared(source, known)
            owner = migration.whose(declared, database, tenant, whose) if database else None
            return await reconciled(
                Place(
                    catalogue=declared,
                    states=MappingStates(store, known),
                    runs=MappingRuns(store, known),
                    repository=store.repository(known, Caller.system(tenant, "migration")),
                    database=database,
                    whose=owner,
                    show_values=show_values,
                )
            )


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, "utf-8")
    except OSError as fault:
        fail(f"{path} cannot be written: {fault.strerror}.", code=2)


def _shown(found: Reconciled) -> Iterator[Any]:
    for each in sections(found):
        if each.rows:
            yield _table(each)
        else:
            yield each.nothing
    failed = sum(not each.holds for each in found.checks)
    yield f"{len(found.checks)} sums, {failed} do not add up." if failed else f"All {len(found.checks)} sums add up."


def _table(shown: Shown) -> Table:
    table = Table(*shown.columns, box=None, title=shown.title, title_justify="left")
    for row in shown.rows:
        table.add_row(*(f"{each:,}" if isinstance(each, int) else str(each) for each in row))
    return table
