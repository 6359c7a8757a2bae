"""What the commands about keys share: only an encrypted tenant has any, and who is refused has tried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fhir_server.cli.common import tenant_of
from fhir_server.cli.recording import account
from fhir_server.fhir.outcome import FhirError, bad_value
from fhir_server.store.connection import Store
from fhir_server.store.key_records import recorded
from fhir_server.store.tenants import Tenant


async def encrypted(store: Store, name: str) -> Tenant:
    """The tenant; without a key that wraps its keys there is nothing to be done for it."""
    tenant = await tenant_of(store, name)
    if not tenant.encrypted:
        raise bad_value(f"Tenant '{name}' is not encrypted: it has no such keys.")
    store.vault.required(name)
    return tenant


@asynccontextmanager
async def tried(store: Store, tenant: Tenant, action: str, **about: str) -> AsyncIterator[None]:
    """Who is refused has tried, and that is recorded; what succeeds is recorded with what it has done."""
    try:
        yield
    except FhirError as problem:
        said = {**about, "refused": problem.issues[0].code}
        await store.journal.record(tenant.name, recorded(action, account(), datetime.now(UTC), said, "4"))
        raise
