"""Migrations of a sample database into one fresh tenant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.mapping import migration
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.retry import Wanted, retried
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from fhir_server.store.mappings import MappingStates
from seed import pms as sample

KEY_CLASSES = ("pii", "clinical", "financial")


class Run:
    """Migrations into one fresh tenant."""

    def __init__(self, store: Store, tenant: str, url: str):
        self.store, self.tenant, self.url = store, tenant, url

    async def __call__(self, *tables: str, dry_run: bool = False, **options: Any) -> Report:
        tenant = await self.store.tenants.get(self.tenant) or await self.store.tenants.create(self.tenant)
        source = Source(self.url)
        try:
            return await migration.migrate(
                self.store,
                tenant,
                migration.declared("pms", tenant),
                source,
                opening=migration.keys(
                    migration.declared("pms"), [f"{name}={sample.SAMPLE_KEY}" for name in KEY_CLASSES]
                ),
                options=Options(source_tenant="practice", **{"error_limit": 1.0, **options}),
                tables=tables,
                dry_run=dry_run,
            )
        finally:
            source.close()

    async def retry(self, wanted: Wanted, gender_of_zz: str | None = None) -> Report:
        """`gender_of_zz` adds a line to the map, as someone would who looked into the quarantine."""
        tenant = await self.store.tenants.get(self.tenant)
        assert tenant is not None
        source, found = Source(self.url), migration.declared("pms", tenant)
        if gender_of_zz:
            known = found.maps["gender"]
            line = replace(next(iter(known.rows.values())), code=gender_of_zz)
            found = replace(found, maps={**found.maps, "gender": replace(known, rows={**known.rows, "zz": line})})
        opening = migration.keys(found, [f"pii={sample.SAMPLE_KEY}"])
        ready = await migration.prepared(
            self.store, tenant, found, source, opening=opening, options=Options("practice")
        )
        report = await retried(ready, wanted)
        source.close()
        return report

    async def resource(self, name: str, resource_type: str) -> dict[str, Any]:
        tenant = await self.store.tenants.get(self.tenant)
        assert tenant is not None
        found = migration.declared("pms", tenant)
        repository = self.store.repository(tenant, Caller.system(self.tenant, "test"))
        version = await repository.current(resource_type, Identity(found.base, self.tenant).of(name))
        return version.resource()

    async def states(self, table: str, *keys: str) -> dict[tuple[str, str], dict[str, Any]]:
        tenant = await self.store.tenants.get(self.tenant)
        assert tenant is not None
        return await MappingStates(self.store, tenant).states("pms", table, keys)

    async def everything(self) -> dict[str, bytes]:
        """Every current resource as its bytes, apart from what the server sets."""
        documents = self.store.common.resources.find({"t": self.tenant, "del": False})
        return {each["_id"]: _content(bytes(each["body"])) async for each in documents}


def _content(body: bytes) -> bytes:
    return b",".join(part for part in body.split(b",") if b"lastUpdated" not in part and b"versionId" not in part)
