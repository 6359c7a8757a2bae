"""`fhir-server migrate retry`: rows in quarantine, tried again."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_server.cli import migrate_shown
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show
from fhir_server.cli.migrating import Key, Order, SourceName, SourceTenant, Tables, Url, explained, names, opened
from fhir_server.cli.recording import recorded, summary
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.retry import Wanted, retried
from fhir_server.mapping.run import Options


def retry(
    url: Url,
    tenant: TenantName,
    source: SourceName = "pms",
    tables: Tables = None,
    row: Annotated[list[str] | None, typer.Option(help="Only this row, as table/key; repeatable.")] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only rows whose declaration or maps have changed since.")
    ] = False,
    source_tenant: SourceTenant = None,
    key: Key = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Try rows in quarantine again: as the source has them now, or from their snapshot where they are gone from it.

    [bold]Examples[/]

      fhir-server migrate retry --source pms --from sqlite:///practice.db --tenant riverside --changed
      fhir-server migrate retry --source pms --from sqlite:///practice.db --tenant riverside --row clients/66
    """
    keys: dict[str, list[str]] = {}
    for each in row or ():
        table, slash, name = each.partition("/")
        if not slash:
            fail(f"'{each}' is no row: write table/key, such as clients/66.", code=2)
        keys.setdefault(table, []).append(name)
    order = Order(
        settings(mongo_url=mongo_url, data_dir=data_dir),
        source,
        url,
        tenant,
        [*names(tables), *keys],
        key or [],
        Options(source_tenant),
    )
    with explained():
        report = run(_retried(order, Wanted(order.tables, keys or None, changed)))
    show(report.as_json(), as_json, lambda: migrate_shown.described(report) if report.tables else "Nothing to try.")


async def _retried(order: Order, wanted: Wanted) -> Report:
    async with opened(order) as found:
        async with recorded(found.store, order.tenant, "migration", order.source, again=True) as said:
            report = await retried(found.migration, wanted)
            said.update(summary(report))
        return report
