"""`fhir-server audit asked`: what an event keeps sealed, for who has to know it."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated

import typer

from fhir_server.access.caller import Caller
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, in_store, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.crypto.aead import SealBroken
from fhir_server.fhir.outcome import bad_value
from fhir_server.interactions.events import unsealed
from fhir_server.store.connection import Store


def asked(
    event: Annotated[str, typer.Argument(help="Id of the AuditEvent.")],
    tenant: TenantName,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the request that an event keeps sealed: what was searched for, or asked in vain. This is recorded too."""

    async def work(store: Store) -> list[str]:
        async with recorded(store, tenant, "audit", event):
            return await _opened(store, tenant, event)

    found = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    show({"event": event, "asked": found}, as_json, lambda: "\n".join(found) or "The event keeps nothing sealed.")


async def _opened(store: Store, tenant: str, event: str) -> list[str]:
    caller = Caller.system(tenant, "audit asked")
    version = await store.repository(await tenant_of(store, tenant), caller).current("AuditEvent", event)
    queries = [each["query"] for each in version.resource().get("entity", ()) if "query" in each]
    key = await store.keys.sealing(tenant)
    try:
        return [unsealed(key, tenant, event, b64decode(each)) for each in queries]
    except SealBroken as problem:
        raise bad_value(
            f"What the event '{event}' keeps was not sealed by this server, or for another event."
        ) from problem
