"""Versions of the keys of a tenant: listed, replaced, wrapped anew and destroyed, one document at a time.

A key is wrapped by the key that `FHIR_KEK` names, or, where it is one patient's, by a version of the tenant's data key.
Every change is made only where the document is still what it was: two who do the same do it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_server.crypto import envelope
from fhir_server.crypto.secret import Key
from fhir_server.fhir.outcome import bad_value, conflict, error
from fhir_server.store.database import Collection
from fhir_server.store.errors import BUSY, is_duplicate, mongo_errors, mongo_writes
from fhir_server.store.kek.port import Kek
from fhir_server.store.layout import Document
from fhir_server.store.vault import ACTIVE, DATA, DESTROYED, PATIENT, RETIRED, Vault

BATCH = 500


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """What is kept of a key, without the key."""

    key_id: str
    kind: str
    number: int
    state: str
    wrapped_by: str
    uses: int
    created: datetime
    retired: datetime | None = None

    @property
    def active(self) -> bool:
        return self.state == ACTIVE


@dataclass(frozen=True, slots=True)
class KeyVersions:
    """Those of one tenant."""

    collection: Collection
    vault: Vault
    tenant: str

    async def listed(self) -> list[KeyVersion]:
        """All but those of patients, in order."""
        with mongo_errors:
            documents = await self.collection.find({"t": self.tenant, "kind": {"$ne": PATIENT}}).to_list()
        return sorted(map(_version, documents), key=lambda each: (each.kind, each.number))

    async def of_kind(self, kind: str) -> list[KeyVersion]:
        """The newest last."""
        return [each for each in await self.listed() if each.kind == kind]

    async def patients(self) -> Mapping[str, int]:
        """How many keys of patients there are, by state."""
        counted = [{"$match": {"t": self.tenant, "kind": PATIENT}}, {"$group": {"_id": "$state", "n": {"$sum": 1}}}]
        with mongo_errors:
            found = await (await self.collection.aggregate(counted)).to_list()
        return {each["_id"]: each["n"] for each in found}

    async def replace(self, kind: str = DATA) -> KeyVersion:
        """A new version to seal with; those before it only open from now on."""
        newest = await self._newest(kind)
        key = Key.fresh(f"{kind}/{newest + 1}")
        wrapped, by = await self._wrap(kind, key)
        try:
            await self.vault.keep([self.vault.document(self.tenant, key, kind, newest + 1, wrapped, by)])
        except BaseException as problem:
            if is_duplicate(problem):
                raise conflict(BUSY) from problem
            raise
        await self.settle(kind)
        return _version(await self._document(key.id))

    async def settle(self, kind: str) -> None:
        """Only the newest version is sealed with."""
        newest = await self._newest(kind)
        older = {"t": self.tenant, "kind": kind, "n": {"$lt": newest}, "state": ACTIVE}
        with mongo_writes:
            await self.collection.update_many(older, {"$set": {"state": RETIRED, "retired": datetime.now(UTC)}})
        self.vault.forget(self.tenant)
