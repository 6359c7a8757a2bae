"""Positions in MongoDB and in memory find alike, and only places are in the index of places."""

from __future__ import annotations

from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository


async def test_near(any_repository: Repository) -> None:
    for number in range(10):
        place = {"latitude": 42 + number / 10, "longitude": -71}
        await any_repository.create({"resourceType": "Location", "position": place}, resource_id=f"l{number}")
    await any_repository.create({"resourceType": "Location"}, resource_id="nowhere")
    query = parse(("Location",), [("near", "42.2|-71|12|km"), ("_sort", "_id")], lenient=False, base="")
    page = await any_repository.search(plan(query))
    assert [version.resource_id for version in page.versions] == ["l1", "l2", "l3"]
    assert await any_repository.count(plan(query)) == 3


async def test_the_index_of_places_has_nothing_else(store: Store, repository: Repository) -> None:
    resources = store.common.resources
    entries = [{"$indexStats": {}}, {"$match": {"name": "geo"}}]
    assert len(await (await resources.aggregate(entries)).to_list()) == 1
    await repository.create({"resourceType": "Basic", "code": {"text": "x"}})
    await repository.create({"resourceType": "Location", "position": {"latitude": 1, "longitude": 1}})
    found = await resources.find({"t": repository.tenant.name}, {"_id": 0, "rt": 1}).hint("geo").to_list()
    assert found == [{"rt": "Location"}]
