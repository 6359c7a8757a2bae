"""What the commands of `fhir-server migrate` share: options, what they open, and how mistakes are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from fhir_server.cli.common import errors, fail, tenant_of
from fhir_server.mapping import migration
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.database import SourceError
from fhir_server.mapping.outcome import QUARANTINED, TableReport
from fhir_server.mapping.problem import MappingError
from fhir_server.mapping.run import Migration, Options
from fhir_server.mapping.source import Source
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.connection import Store
from fhir_server.store.tenants import Tenant

SourceName = Annotated[str, typer.Option("--source", help="The source system, a folder of mappings/: pms.")]
Url = Annotated[
    str, typer.Option("--from", help="The legacy database, as SQLAlchemy names it, or a folder: sqlite:///practice.db.")
]
MaybeUrl = Annotated[str | None, typer.Option("--from", help="The legacy database, where it is to be looked into.")]
Tables = Annotated[list[str] | None, typer.Option("--tables", help="Only these tables; repeatable, or with commas.")]
Key = Annotated[
    list[str] | None,
    typer.Option(
        "--key", help="Key of encrypted columns as class=key, such as pii=…; repeatable.", envvar="FHIR_LEGACY_KEYS"
    ),
]
SourceTenant = Annotated[str | None, typer.Option(help="Whose rows, where the database has several tenants.")]
Rows = Annotated[int, typer.Option("--page", min=1, max=10_000, help="Rows that are read at a time.")]


@dataclass(frozen=True, slots=True)
class Order:
    """A migration as the operator asks for it; another process can carry it out."""

    settings: Settings
    source: str
    url: str
    tenant: str
    tables: list[str]
    key: list[str]
    options: Options
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open while a command works."""

    store: Store
    tenant: Tenant
    migration: Migration
    tables: list[str]


@asynccontextmanager
async def opened(order: Order) -> AsyncIterator[Opened]:
    """Source and store; MappingError before the first row is read where they do not fit."""
    with source_at(order.url) as database, migration.unhurried_collection():
        assert database is not None
        async with store_of(order.settings) as found:
            tenant = await tenant_of(found, order.tenant)
            catalogue = migration.declared(order.source, tenant)
            whose = migration.whose(catalogue, database, order.tenant, order.options.source_tenant)
            ready = await migration.prepared(
                found,
                tenant,
                catalogue,
                database,
                opening=migration.keys(catalogue, order.key),
                options=replace(order.options, source_tenant=whose),
                tables=order.tables,
                dry_run=order.dry_run,
            )
            names = [table.table for table in migration.chosen(catalogue, order.tables)]
            yield Opened(found, tenant, ready, names)


@contextmanager
def source_at(url: str | None) -> Iterator[Source | None]:
    source = Source(url) if url else None
    try:
        yield source
    finally:
        if source:
            source.close()


@contextmanager
def explained() -> Iterator[None]:
    """Declarations and sources that do not fit are sentences, not tracebacks."""
    try:
        yield
    except MappingError as fault:
        fail("the declarations do not hold.\n" + "\n".join(map(str, fault.problems)))
    except (SourceError, ValueError) as fault:
        fail(str(fault), code=2)
    except SQLAlchemyError as fault:
        fail(f"the source cannot be read: {str(fault).partition(chr(10))[0]}")


@contextmanager
def progress_bars(catalogue: Catalogue, source: Source, whose: str | None, *, quiet: bool) -> Iterator[Any]:
    """A bar for each table: rows, rows per second, time that is left, rows in quarantine."""
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>8} rows/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[bad]}"),
    )
    with Progress(*columns, console=errors, disable=quiet) as bars:
        tasks: dict[str, TaskID] = {}

        def told(report: TableReport) -> None:
            if report.table not in tasks:
                total = source.count(catalogue.tables[report.table], whose)
                tasks[report.table] = bars.add_task(report.table, total=total, rate="", bad="")
            bad = f"[red]{report.counts[QUARANTINED]} in quarantine[/]" if report.counts[QUARANTINED] else ""
            bars.update(tasks[report.table], completed=report.rows, rate=f"{report.rate:,.0f}", bad=bad)

        yield told


def names(tables: list[str] | None) -> list[str]:
    """Tables as they were named: repeated, or with commas."""
    return [name.strip() for each in tables or () for name in each.split(",") if name.strip()]
