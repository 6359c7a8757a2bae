"""Who was shredded: what rows still say of them is not stored again."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource
from fhir_server.search.index import index
from fhir_server.store.connection import Store
from fhir_server.store.sealing import patient_of
from fhir_server.store.tenants import Tenant
from fhir_server.store.vault import CURRENT

Key = tuple[str, str]
"""Type and id."""


class Shredded:
    """The patients of one tenant whose keys are gone; nobody pays for it where there are none."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self._versions = store.key_versions(tenant)
        self._tenant = tenant
        self._known: tuple[float, frozenset[str]] = (0.0, frozenset())

    async def patients(self) -> frozenset[str]:
        """Their references, as of some seconds ago."""
        if self._tenant.encrypted and self._known[0] < monotonic():
            found = frozenset(f"Patient/{each}" for each in await self._versions.gone())
            self._known = monotonic() + CURRENT, found
        return self._known[1]

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
