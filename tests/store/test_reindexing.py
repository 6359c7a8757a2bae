"""Entries of earlier releases are written anew, of current and superseded versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fhir_server.store.connection import Store
from fhir_server.store.reindexing import reindex
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import stored, superseded, tombstone
from tests.store.conftest import new_tenant

NOW = datetime(2024, 6, 1, tzinfo=UTC)
WEIGHT = {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}


def weighed(tenant: Tenant, resource_id: str) -> dict[str, Any]:
    resource = {"resourceType": "Observation", "id": resource_id, "status": "final", "valueQuantity": WEIGHT}
    return stored(tenant, resource, resource_id, "PUT", NOW, None).document


async def test_what_is_concerned_is_indexed_again(store: Store) -> None:
    tenant = await new_tenant(store)
    database = store.common
    complete = weighed(tenant, "o1")
    old = {**complete, "num": [each for each in complete["num"] if "=" not in each["p"]]}
    gone = tombstone(tenant, NOW, weighed(tenant, "o2")).document
    mark = uuid4().hex
    await database.resources.insert_many([{**each, "of": mark} for each in (old, gone)])
    await database.history.insert_one({**superseded(old), "of": mark})

    await reindex(database, {"of": mark})

    for collection in (database.resources, database.history):
        documents = await collection.find({"of": mark, "del": False}).to_list()
        assert [each["num"] for each in documents] == [complete["num"]]
    assert (await database.resources.find_one({"_id": gone["_id"]}) or {})["num"] == []
