"""A migration from what an operator names: a source system, a database, a tenant, the keys of encrypted columns."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from fhir_server.mapping import catalogue, check
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.ciphers import SCHEMES, Opener
from fhir_server.mapping.context import Context
from fhir_server.mapping.database import SourceError
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.problem import MappingError, Problem, suggestion
from fhir_server.mapping.provenance import Origins
from fhir_server.mapping.rehearsal import Rehearsal
from fhir_server.mapping.run import Migration, Options, Progress
from fhir_server.mapping.sink import Sink
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from fhir_server.store.tenants import Tenant

BUSY_COLLECTION = (100_000, 50, 50)
"""Thresholds of the garbage collector while rows are mapped: they make many objects and no cycles."""


def declared(source: str, tenant: Tenant | None = None) -> Catalogue:
    """The declarations of a source, with the identifiers of the tenant's deployment and its system of units."""
    if tenant is None:
        return catalogue.load(source)
    found = catalogue.load(source, base=str(tenant.settings.get("base", catalogue.DEFAULT_BASE)))
    return replace(found, units=tenant.setting("units"))


def problems(found: Catalogue, source: Source | None, tables: Sequence[str] = ()) -> list[Problem]:
    """What is wrong with the declarations, and with the database where one is given."""
    in_source = [each for table in chosen(found, tables) for each in source.problems(table)] if source else []
    return [*check.problems(found), *in_source]


def chosen(found: Catalogue, tables: Sequence[str] = ()) -> Iterator[TableMapping]:
    """The declarations of these tables, or of all."""
    for name in tables:
        if name not in found.tables:
            near = suggestion(name, found.tables)
            raise MappingError([Problem(found.source, 1, f"There is no declaration of the table '{name}'.{near}")])
    yield from (table for table in found.in_order() if not tables or table.table in tables)


def keys(found: Catalogue, written: Iterable[str]) -> Mapping[str, Opener]:
    """`class=key` as what opens the values of each class; ValueError where one is no key of the class's scheme."""
    opening = {}
    for each in written:
        name, _, key = each.partition("=")
        if name not in found.keys:
            raise ValueError(f"{found.source} has no key class '{name}'.{suggestion(name, found.keys)}")
        scheme = found.keys[name]
        try:
            opening[name] = SCHEMES[scheme](key)
        except ValueError as fault:
            raise ValueError(f"The key of the class '{name}' is no key of {scheme}: 32 bytes in Base64.") from fault
    return opening


def whose(found: Catalogue, source: Source, tenant: str, given: str | None) -> str | None:
    """Whose rows are read: those named, those of the only tenant there is, or those with the tenant's own name."""
    source.expect(found.tables)
    if given is not None:
        return given
    names = {name for table in found.in_order() for name in source.tenants(table)}
    if len(names) <= 1:
        return next(iter(names), None)
    if tenant in names:
        return tenant
    raise SourceError(
        f"The source has rows of several tenants ({', '.join(sorted(names))}); say whose with --source-tenant."
    )


async def prepared(
    store: Store,
    tenant: Tenant,
    found: Catalogue,
    source: Source,
    *,
    opening: Mapping[str, Opener],
    options: Options,
    tables: Sequence[str] = (),
    dry_run: bool = False,
) -> Migration:
    """A migration that may begin; MappingError where declarations and source do not fit."""
    source.expect(found.tables)
    errors = [each for each in problems(found, source, tables) if each.severity == "error"]
    if errors:
        raise MappingError(errors)
    context = Context(
        ids=Identity(found.base, tenant.name),
        today=datetime.now(UTC).date(),
        zone=ZoneInfo(str(tenant.settings.get("timezone", "UTC"))),
        currency=str(tenant.settings.get("currency", "USD")),
        keys=opening,
        owner=options.source_tenant,
    )
    kind = Rehearsal if dry_run else Sink
    origins = Origins(found.base, context, datetime.now(UTC), options.provenance)
    sink = kind(store, tenant, await store.keys.cursor(tenant.name), origins)
    return Migration(found, source, sink, context, options)


async def migrate(
    store: Store,
    tenant: Tenant,
    found: Catalogue,
    source: Source,
    *,
    opening: Mapping[str, Opener],
    options: Options,
    tables: Sequence[str] = (),
    progress: Progress = lambda _: None,
    dry_run: bool = False,
) -> Report:
    """Runs the tables in this process; MappingError before the first row is read."""
    run = await prepared(store, tenant, found, source, opening=opening, options=options, tables=tables, dry_run=dry_run)
    with unhurried_collection():
        return await run.run(tables, progress)


@contextmanager
def unhurried_collection() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*BUSY_COLLECTION)
    try:
        yield
    finally:
        gc.set_threshold(*before)
