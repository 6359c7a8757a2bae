"""Policies of keys: a data key that is due is replaced, and what it has sealed is sealed anew by a job.

https://csrc.nist.gov/pubs/sp/800/57/pt1/r5/final §5.3.6
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from fhir_server.crypto.rotation import KeyUse, due
from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs import reencrypt
from fhir_server.jobs.rounds import Round
from fhir_server.store.connection import Store
from fhir_server.store.key_records import KeyRecords
from fhir_server.store.tenants import Tenant

log = logging.getLogger(__name__)

EVERY: Final = timedelta(hours=1)


async def applied(store: Store) -> None:
    """One tenant whose keys cannot be opened is no reason to leave out the others."""
    for tenant in await store.tenants.list():
        if tenant.encrypted and tenant.active:
            try:
                await of_tenant(store, tenant)
            except FhirError as problem:
                log.warning("The policies of keys of a tenant could not be applied: %s", problem)


async def of_tenant(store: Store, tenant: Tenant) -> str | None:
    """Why its data key was replaced, if it was. After a compromise each patient gets another key as well."""
    versions, records = store.key_versions(tenant), KeyRecords(store, tenant)
    current = await versions.current()
    happened = await records.reported()
    used = KeyUse(current.created, current.uses)
    why = due(used, await records.holding(), happened, datetime.now(UTC))
    if why is None:
        return None
    new = await versions.rotate(following=current)
    since = {event for event, at in happened.items() if at > current.created}
    await records.tell("rotated", "key policies", key=new.key_id, why=why)
    await reencrypt.ask(store, tenant.name, patients="compromise" in since)
    return why


ROUND: Final = Round("key-policies", EVERY, applied)
