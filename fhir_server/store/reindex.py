"""The index of what is stored, made again: bodies stay as they are, and who writes meanwhile is never overwritten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pymongo import UpdateOne

from fhir_server.access.caller import Caller
from fhir_server.access.right import Right
from fhir_server.fhir import json
from fhir_server.search.index import index
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import SUPERSEDED, Document
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import indexed
from fhir_server.store.where import Where, still

BATCH = 100
"""So many resources take some ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Reindexing:
    """Goes through the resources of one tenant in the order of their keys; `older_than` leaves out the others."""

    database: Database
    tenant: Tenant

    async def counts(self, types: Iterable[str], older_than: int | None) -> dict[str, int]:
        """By type, where there is anything to do."""
        wanted = {each: self._where().following(each, "", Right.READ, older_than) for each in types}
        with mongo_errors:
            found = {
                name: await self.database.holding(name).plain.count_documents(each) for name, each in wanted.items()
            }
        return {name: count for name, count in found.items() if count}

    async def batch(self, resource_type: str, after: str, older_than: int | None) -> list[str]:
        """The keys of the next resources after one, once they are indexed; none where the type is done."""
        found = self._where().following(resource_type, after, Right.READ, older_than)
        held = self.database.holding(resource_type)
        with mongo_errors:
            documents = await held.plain.find(found, SUPERSEDED, limit=BATCH).sort("_id").to_list()
        changes = [UpdateOne(still(each), {"$set": await self._index(each)}) for each in documents]
        if changes:
            with mongo_writes:
                await held.resources.bulk_write(changes, ordered=False)
        return [each["_id"] for each in documents]

    async def _index(self, document: Document) -> Document:
        with mongo_errors:
            body = await self.database.bodies.body(document)
        resource = json.trusted(body)
        return indexed(
            resource, index(resource, added=self.tenant.own.added, blinding=self.tenant.blinding), self.tenant
        )

    def _where(self) -> Where:
        return Where(self.tenant.name, Caller.system(self.tenant.name, "reindex"), blinding=self.tenant.blinding)
