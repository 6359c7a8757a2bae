"""Every current resource of a tenant, in the order of keys, as the server itself sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from fhir_server.access.caller import Caller
from fhir_server.access.right import Right
from fhir_server.fhir.version import Version
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import SHOWN
from fhir_server.store.pages import Shown
from fhir_server.store.tenants import Tenant
from fhir_server.store.where import Where

BATCH = 200


@dataclass(frozen=True, slots=True)
class Copying:
    """Reads one tenant; what is written meanwhile may be missed."""

    database: Database
    tenant: Tenant
    reason: str

    async def batches(self, types: Iterable[str]) -> AsyncIterator[tuple[Version, ...]]:
        """Type by type, without deletions."""
        for resource_type in types:
            after = ""
            while batch := await self._batch(resource_type, after):
                versions, after = batch
                yield versions

    async def _batch(self, resource_type: str, after: str) -> tuple[tuple[Version, ...], str] | None:
        """The next versions after a key, and the last key among them."""
        where = Where(self.tenant.name, Caller.system(self.tenant.name, self.reason))
        found = where.following(resource_type, after, Right.READ)
        wanted = {**SHOWN, "_id": 1}
        with mongo_errors:
            held = self.database.holding(resource_type).plain
            documents = await held.find(found, wanted, limit=BATCH).sort("_id").to_list()
        if not documents:
            return None
        return await Shown(self.database.bodies, self.tenant.name).versions(documents), documents[-1]["_id"]
