"""Signatures in the store: the Provenance of one and the lock of what was signed are written together, or neither.

21 CFR 11.70
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server.access.caller import Caller
from fhir_server.access.right import Right
from fhir_server.fhir.outcome import conflict
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.store import locks
from fhir_server.store.database import Database
from fhir_server.store.errors import BUSY, mongo_errors, mongo_writes
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import SHOWN, key
from fhir_server.store.pages import Shown
from fhir_server.store.recording import Trail
from fhir_server.store.step_up import StepUps
from fhir_server.store.tenants import Tenant
from fhir_server.store.unit import Unit
from fhir_server.store.versions import stored
from fhir_server.store.where import Where, both, still

PROVENANCE: Final = "Provenance"
MOST: Final = 1_000
"""Signatures of one record that are looked at."""
LAST: Final = "sig"
"""Of a signed document: the id of the last signature. Each signature changes it, so that none is missed by a writer."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What signing needs besides the records."""

    keys: TenantKeys
    step_ups: StepUps


@dataclass(frozen=True, slots=True)
class Attestations:
    """The signatures and amendments of one tenant.

    They are shown with the record that they are about, to whoever may see that: 21 CFR 11.50(b).
    """

    database: Database
    tenant: Tenant
    unit: Unit
    clock: Callable[[], datetime]
    trail: Trail | None = None
    """Of the request, where it is recorded."""

    @property
    def inside(self) -> bool:
        """Whether this is part of a transaction."""
        return self.unit.session is not None

    async def keep(self, provenance: Resource, now: datetime) -> Version:
        """A record of who signed or amended, which itself can no longer be changed."""
        write = stored(self.tenant, provenance, provenance["id"], "POST", now, None)
        write.document[locks.FIELD] = locks.SIGNED
        await self.unit.store(write)
        if self.trail is not None:
            self.trail.write(write)
        return write.version

    async def lock(self, version: Version, provenance_id: str) -> None:
        """In the transaction of a signature: 409 where the version that was signed is no longer the current one."""
        await self.unit.flush()
        here = key(self.tenant.name, version.resource_type, version.resource_id)
        current = still({"_id": here, "v": version.version_id})
        change = {"$set": {locks.FIELD: locks.SIGNED, LAST: provenance_id}}
        with mongo_errors:
            result = await self.database.resources.update_one(current, change, session=self.unit.session)
        if not result.matched_count:
            raise conflict(BUSY)
        if self.trail is not None:
            self.trail.written[version.location] = "LOCK"

    async def finish(self, keys: Sequence[tuple[str, str]]) -> None:
        """Locks what is final where it comes from; what is locked already stays as it is."""
        if not keys:
            return
        found = both(self._where().instances(keys, Right.UPDATE), {locks.FIELD: None})
        with mongo_writes:
            await self.database.resources.update_many(found, {"$set": {locks.FIELD: locks.FINAL}})

    async def state(self, resource_type: str, resource_id: str) -> locks.Lock | None:
        """The lock of the current version."""
        found = await self.unit.read(self._where().instance(resource_type, resource_id, Right.READ), {locks.FIELD: 1})
        return found.get(locks.FIELD) if found else None

    async def exists(self, resource_type: str, resource_id: str) -> bool:
        found = self._where().living((resource_type,), Right.READ, {}, [resource_id])
        with mongo_errors:
            return await self.database.plain.find_one(found, {"_id": 1}, session=self.unit.session) is not None

    async def version(self, resource_type: str, resource_id: str, version_id: str) -> tuple[Version | None, bool]:
        """One version, and whether it is the current one."""
        document = await self.unit.read(self._where().instance(resource_type, resource_id, Right.READ), SHOWN)
        current = document is not None and str(document["v"]) == version_id
        if not current:
            past = self._where().superseded(resource_type, resource_id, version_id, Right.READ)
            with mongo_errors:
                document = await self.database.history.find_one(past, SHOWN, session=self.unit.session)
        if document is None or document["m"] == "DELETE":
            return None, current
        found = await Shown(self.database.bodies, self.tenant.name).versions([document])
        return (found[0] if found else None), current

    async def about(self, resource_type: str, resource_id: str) -> tuple[Version, ...]:
        """Every Provenance of a record, oldest first."""
        criteria = {"tok": f"target={resource_type}/{resource_id}"}
        found = self._where().living((PROVENANCE,), Right.SEARCH, criteria)
        cursor = self.database.plain.find(found, SHOWN, limit=MOST, session=self.unit.session)
        with mongo_errors:
            documents = await cursor.sort([("lu", 1), ("id", 1)]).to_list()
        return await Shown(self.database.bodies, self.tenant.name).versions(documents)

    def _where(self) -> Where:
        return Where(self.tenant.name, Caller.system(self.tenant.name, "signatures"), blinding=self.tenant.blinding)
