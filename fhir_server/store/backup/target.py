"""Where a backup goes: a store, or a tenant of it, that must be empty, and is emptied again if anything goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from bson.raw_bson import RawBSONDocument

from fhir_server.store.backup.archive import Frame, Header
from fhir_server.store.backup.expiry import MARGIN, Rule, lasting, rules
from fhir_server.store.backup.sources import COMMON, RawCollection, Source, of_tenant, place_name, sources
from fhir_server.store.backup.tally import Tally, split
from fhir_server.store.codec import RAW
from fhir_server.store.connection import Store
from fhir_server.store.database import DURABLE
from fhir_server.store.errors import StoreError
from fhir_server.store.layout import AUDIT_WRITERS, TENANTS, Document, key_range

SIGNS: Document = {"$or": [{"_id": key_range("")}, {"_id": "keeper"}]}
"""What processes that record events left behind before there was any."""

RESTORING = "restoring"
"""In the collection of migrations: what was not finished."""


@dataclass(slots=True)
class Target:
    """Where it goes, what expires there by itself, and what is expected to be there in the end."""

    store: Store
    tenant: str
    every: dict[tuple[str, str], Source]
    rules: dict[tuple[str, str], Rule]
    horizon: datetime
    expected: Tally = field(default_factory=Tally)
    register: dict[str, RawBSONDocument] = field(default_factory=dict)
    """The tenants, kept back to the end."""

    @classmethod
    async def of(cls, store: Store, header: Header) -> Target:
        for place in header.places:
            if place == store.common.name:
                raise StoreError(f"A tenant of this backup has the database '{place}', which is the common one here.")
            await store.place(place_name(store, place))
        every = {(each.place, each.name): each for each in await sources(store, header.tenant, header.places)}
        return cls(store, header.tenant, every, await rules(every.values()), datetime.now(UTC) + MARGIN)

    async def claim(self, header: Header) -> None:
        """Refuses where anything is; what an interrupted restoration left behind is removed."""
        migrations = self.store.common.migrations
        tenants = self.every.get((COMMON, TENANTS))
        if tenants and await tenants.collection.find_one(tenants.scope):
            raise StoreError(self._occupied(f"a tenant '{self.tenant}'" if self.tenant else "tenants"))
        if await migrations.find_one({"_id": RESTORING, "tenant": self.tenant}):
            await self.clear()
        if not self.tenant and (writers := self.every.get((COMMON, AUDIT_WRITERS))):
            await _removed(writers, SIGNS)
        for source in self.every.values():
            if await source.collection.find_one(source.scope):
                raise StoreError(self._occupied(f"documents in {source.name}"))
        await migrations.insert_one({"_id": RESTORING, "tenant": self.tenant, "backup": header.id})

    def _occupied(self, what: str) -> str:
        return f"'{self.store.common.name}' has {what} already. A backup is restored where nothing is."

    async def clear(self) -> None:
        for source in self.every.values():
            await _removed(source, source.scope)
        await self.store.common.migrations.delete_one({"_id": RESTORING})

    def collection(self, place: str, name: str) -> RawCollection:
        """A collection that only the backup has is one of its release."""
        if (place, name) not in self.every:
            made = self.store.raw(place_name(self.store, place))[name]
            self.every[place, name] = Source(place, name, made, of_tenant(name, self.tenant))
        return self.every[place, name].collection

    def lasting(self, place: str, name: str, block: bytes) -> list[bytes]:
        return list(lasting(split(block), self.rules.get((place, name)), self.horizon))

    def enrol(self, frame: Frame, block: bytes) -> None:
        for each in split(block):
            document = RawBSONDocument(each, RAW)
            if frame is Frame.DOCUMENTS:
                self.register[document["_id"]] = document
            else:
                self.register.pop(document["_id"], None)

    async def settled(self) -> None:
        """When a majority has everything that was written: this write comes after it."""
        await self.store.common.migrations.update_one({"_id": RESTORING}, {"$set": {"written": datetime.now(UTC)}})


async def _removed(source: Source, found: Document) -> None:
    """By majority, as everything is read afterwards."""
    await source.collection.with_options(write_concern=DURABLE).delete_many(found)
