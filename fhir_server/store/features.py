"""Records of the server's features that are no resources: accounts, roles, keys, templates, one document each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ReplaceOne

from fhir_server.store.connection import Store
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document, key
from fhir_server.store.tenants import Tenant


class FeatureRecords:
    """The records of one tenant; a kind is written `feature/kind`, such as `accounts/user`."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self._tenant = tenant.name
        self._records = store.of(tenant).features

    async def put(self, records: Sequence[Mapping[str, Any]]) -> set[str]:
        """Stores records, each with `resourceType` (its kind) and `id`; answers the ids of those that changed."""
        changed = await self._changed(records)
        if changed:
            operations = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in changed]
            with mongo_writes:
                await self._records.bulk_write(operations, ordered=False)
        return {each["id"] for each in changed}

    async def changed(self, records: Sequence[Mapping[str, Any]]) -> set[str]:
        """The ids of those that are not stored as they are."""
        return {each["id"] for each in await self._changed(records)}

    async def _changed(self, records: Sequence[Mapping[str, Any]]) -> list[Document]:
        documents = [self._document(each) for each in records]
        if not documents:
            return []
        wanted = {"_id": {"$in": [each["_id"] for each in documents]}}
        with mongo_errors:
            known = {each["_id"]: each async for each in self._records.find(wanted)}
        return [each for each in documents if known.get(each["_id"]) != each]

    async def delete(self, kind: str, record_id: str) -> bool:
        """Whether there was such a record."""
        with mongo_writes:
            result = await self._records.delete_one({"_id": key(self._tenant, kind, record_id)})
        return bool(result.deleted_count)

    async def set(self, kind: str, record_id: str, field: str, value: Any) -> None:
        """Changes one field of a record."""
        with mongo_writes:
            await self._records.update_one({"_id": key(self._tenant, kind, record_id)}, {"$set": {field: value}})

    async def of(self, kind: str) -> list[Document]:
        """Every record of a kind, by id."""
        return await self._found(kind, {})

    async def having(self, kind: str, field: str, values: Sequence[str]) -> list[Document]:
        """The records of a kind in which a field has one of these values, by id."""
        return await self._found(kind, {field: {"$in": list(values)}}) if values else []

    async def _found(self, kind: str, more: Mapping[str, Any]) -> list[Document]:
        feature, _, name = kind.partition("/")
        wanted = {"tenant_id": self._tenant, "feature": feature, "kind": name, **more}
        hidden = {"_id": 0, "tenant_id": 0, "feature": 0, "kind": 0}
        with mongo_errors:
            return await self._records.find(wanted, hidden).sort([("id", 1)]).to_list()

    def _document(self, record: Mapping[str, Any]) -> Document:
        kind = record["resourceType"]
        feature, _, name = kind.partition("/")
        fields = {field: value for field, value in record.items() if field != "resourceType"}
        about = {"_id": key(self._tenant, kind, record["id"]), "tenant_id": self._tenant}
        return {**about, "feature": feature, "kind": name, **fields}
