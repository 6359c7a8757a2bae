"""What is kept between migrations: the last report and schema of a source, and how far its tables were read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.store.connection import Store
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document, key
from fhir_server.store.tenants import Tenant

RUN, CURSOR = "run", "cursor"


class MappingRuns:
    """The runs and cursors of one tenant; what is in them is the engine's own."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self._tenant = tenant.name
        self._runs = store.of(tenant).runs

    async def last(self, source: str) -> Document | None:
        return await self._get(RUN, source)

    async def keep(self, source: str, run: Mapping[str, Any]) -> None:
        """The last run of a source, in the place of the one before it."""
        await self._put(run, RUN, source)

    async def cursor(self, source: str, table: str) -> Document | None:
        return await self._get(CURSOR, f"{source}/{table}")

    async def keep_cursor(self, source: str, table: str, cursor: Mapping[str, Any]) -> None:
        await self._put(cursor, CURSOR, f"{source}/{table}")

    async def _get(self, kind: str, name: str) -> Document | None:
        with mongo_errors:
            return await self._runs.find_one({"_id": key(self._tenant, kind, name)}, {"_id": 0})

    async def _put(self, document: Mapping[str, Any], kind: str, name: str) -> None:
        of = key(self._tenant, kind, name)
        with mongo_writes:
            await self._runs.replace_one({"_id": of}, {**document, "_id": of}, upsert=True)
