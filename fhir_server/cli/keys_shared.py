"""What the commands about keys share: only an encrypted tenant has any."""

from __future__ import annotations

from fhir_server.cli.common import tenant_of
from fhir_server.fhir.outcome import bad_value
from fhir_server.store.connection import Store
from fhir_server.store.tenants import Tenant


async def encrypted(store: Store, name: str) -> Tenant:
    """The tenant; without a key that wraps its keys there is nothing to be done for it."""
    tenant = await tenant_of(store, name)
    if not tenant.encrypted:
        raise bad_value(f"Tenant '{name}' is not encrypted: it has no such keys.")
    store.vault.required(name)
    return tenant
