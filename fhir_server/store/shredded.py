"""Who was shredded: what rows still say of them is not stored again."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource
from fhir_server.search.index import index
from fhir_server.store.connection import Store
from fhir_server.store.key_records import BEGUN, KeyRecords
from fhir_server.store.sealing import patient_of
from fhir_server.store.tenants import Tenant

Key = tuple[str, str]
"""Type and id."""


class Shredded:
    """The patients of one tenant who were; nobody pays for it where there are none."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self._records = KeyRecords(store, tenant) if tenant.encrypted else None
        self._tenant = tenant

    async def patients(self) -> frozenset[str]:
        """Their references."""
        return frozenset(await self._records.patients(BEGUN)) if self._records else frozenset()

    async def among(self, resources: Iterable[Resource]) -> frozenset[Key]:
        """Of these, what belongs to the record of such a patient alone."""
        gone = await self.patients()
        return frozenset(_key(each) for each in resources if self._is_of(each, gone)) if gone else frozenset()

    def _is_of(self, resource: Resource, gone: frozenset[str]) -> bool:
        """What an index entry costs is paid only where a name is found."""
        named = f"{resource['resourceType']}/{resource['id']}"
        text = json.encode(resource)
        if named not in gone and not any(f'"{each}"'.encode() in text for each in gone):
            return False
        found = index(resource, added=self._tenant.own.added).as_document()
        return f"Patient/{patient_of({'rt': resource['resourceType'], 'id': resource['id'], **found})}" in gone


def _key(resource: Resource) -> Key:
    return resource["resourceType"], resource["id"]
