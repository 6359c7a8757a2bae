"""A sink that writes nothing and counts as if it did: what `migrate run --dry-run` stores into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource
from fhir_server.mapping.compile import Compiled
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.outcome import Outcome, TableReport
from fhir_server.mapping.provenance import Origins
from fhir_server.mapping.sink import Sink, State, Written
from fhir_server.store.connection import Store
from fhir_server.store.tenants import Tenant

SERVERS_OWN = ("versionId", "lastUpdated")


class Rehearsal(Sink):
    """Compares with what is stored."""

    writes = False

    def __init__(self, store: Store, tenant: Tenant, secret: bytes, origins: Origins):
        super().__init__(store, tenant, secret, origins)
        self._shared: set[str] = set()
        """Resources of several rows that were counted already: they come again with each of their rows."""

    async def _put(self, outcomes: Sequence[Outcome], report: TableReport) -> tuple[dict[str, int], set[str]]:
        found = await super()._put(outcomes, report)
        drafts = (draft for outcome in outcomes for draft in outcome.drafts)
        self._shared |= {draft.resource["id"] for draft in drafts if draft.key.startswith("~")}
        return found

    async def _put_resources(self, drafts: Iterable[Resource]) -> Iterable[Written]:
        resources = [each for each in drafts if not is_feature(each["resourceType"])]
        keys = [(each["resourceType"], each["id"]) for each in resources]
        stored = await self.repository.several(keys) if keys else {}
        found = [self._compared(each, stored) for each in resources]
        self._shared |= {each["id"] for each in resources if each["resourceType"] == "Provenance"}
        return found

    def _compared(self, resource: Resource, stored: Any) -> Written:
        """The version that there would be."""
        found = stored.get((resource["resourceType"], resource["id"]))
        before = found.version_id if found else 0
        new = found is None or _content(found.resource()) != _content(resource)
        return resource, before + new, new and resource["id"] not in self._shared

    async def _put_records(self, drafts: Iterable[Resource]) -> Iterable[Written]:
        records = [each for each in drafts if is_feature(each["resourceType"])]
        changed = await self.records.changed(records)
        return [(each, 1, each["id"] in changed) for each in records]

    async def _declare(self, table: Compiled) -> None:
        """Nothing is written down."""

    async def _deleted(self, resource_type: str, resource_id: str) -> int | None:
        """The version that there would be."""
        if is_feature(resource_type):
            return 1
        found = await self.repository.several([(resource_type, resource_id)])
        return next((each.version_id + 1 for each in found.values()), None)

    async def _deactivate(self, resource_type: str, resource_id: str, element: str, value: Any) -> int | None:
        """The version that there would be."""
        found = await self.repository.several([(resource_type, resource_id)])
        return next((each.version_id + (each.resource().get(element) != value) for each in found.values()), 1)

    async def _write_down(self, snapshots: Sequence[State], states: Iterable[Sequence[State]]) -> None:
        """Nothing is written down."""


def _content(resource: Resource) -> bytes:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in SERVERS_OWN}
    return json.encode({"meta": meta} | {name: value for name, value in resource.items() if name != "meta"})
