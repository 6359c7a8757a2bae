"""What follows from a SearchParameter that was written: the tenant's record changes with it, or neither does."""

from __future__ import annotations

from fhir_server.fhir import json
from fhir_server.fhir.version import Version
from fhir_server.search.defining import TYPE
from fhir_server.store.parameters import OwnParameters
from fhir_server.store.unit import Unit

__all__ = ["TYPE", "follow"]


async def follow(own: OwnParameters, version: Version, unit: Unit) -> None:
    if version.deleted:
        await own.remove(version.tenant, version.resource_id, unit.session)
    else:
        await own.define(version.tenant, version.resource_id, json.trusted(version.body), unit.session)
