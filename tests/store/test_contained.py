"""Contained resources, on MongoDB and in memory: found as if each were stored by itself, by every way to write."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scope
from fhir_server.fhir.resource import Resource
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store.connection import Store
from fhir_server.store.containers import Place
from fhir_server.store.repository import Repository
from tests.store.conftest import Filled, as_system, new_tenant, profiled
from tests.store.resources import BASE, observation, patient

CONTAINERS = 40


def held(container: int, number: int) -> Resource:
    """All kinds of index entries, with repetitions between and within containers."""
    at = container * 3 + number
    found = observation(f"i{number}", f"p{at % 4}", code=("8867-4", "718-7", "x")[at % 3])
    value = {"value": at % 7, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    return found | {
        "valueQuantity": value,
        "effectiveDateTime": f"2024-01-{1 + at % 28:02}",
        "method": {"text": f"m{at % 5}"},
    }


def container(number: int, *, of: str = "p1") -> Resource:
    items = [held(number, each) for each in range(number % 4)]
    report = {"resourceType": "DiagnosticReport", "id": f"c{number:02}", "status": "final", "code": {"text": "x"}}
    more = {"contained": [*items, patient("p", f"Name{number}")]} if items else {}
    return report | {"subject": {"reference": f"Patient/{of}"}} | more


def alone(number: int) -> list[Resource]:
    return [held(number, each) | {"id": f"c{number:02}.i{each}"} for each in range(number % 4)]


def asked(search: str, count: int = 7) -> Query:
    resource_type, _, query = search.partition("?")
    pairs = [*parse_qsl(query), ("_count", str(count))]
    return parse((resource_type,), pairs, lenient=False, base=BASE, contained=True)


async def rows(repository: Repository, query: Query) -> list[str]:
    """All pages, in order."""
    containers = await repository.containers()
    listed: list[str] = []
    after: Place | None = None
    while page := await containers.rows(query, after, query.count):
        listed += [f"{each.version.resource_type}/{each.version.resource_id}" for each in page]
        after = page[-1].place
    return listed


async def contained(repository: Repository, search: str) -> list[str]:
    query = asked(f"{search}&_contained=true&_containedType=contained")
    found = await rows(repository, query)
    assert await (await repository.containers()).count(query) == len(found) == len(set(found))
    return found


ASKED = [
    "",
    "code=8867-4",
    "code=http://loinc.org|8867-4,x",
    "code:not=x",
    "code=718-7&subject=Patient/p2",
    "subject=Patient/p1,Patient/p2&date=gt2024-01-10",
    "date=lt2024-01-05",
    "date=2024-01-03,2024-01-09",
    "value-quantity=gt4",
    "value-quantity=2|http://unitsofmeasure.org|mg&status=final",
    "value-quantity=0.002|http://unitsofmeasure.org|g",
    "code-value-quantity=8867-4$gt3",
    "method:text=m2",
    "method:missing=false",
    "value-date:missing=true&code=x",
    "_id:not=nothing",
    "_filter=code eq x or date lt 2024-01-04",
    "_filter=not(code eq x) and value-quantity ge 5",
]


@pytest.mark.parametrize("store_of", ["mongod", "memory"])
async def test_found_as_if_each_were_stored_by_itself(store: Store, memory_store: Store, store_of: str) -> None:
    chosen = store if store_of == "mongod" else memory_store
    within = as_system(chosen, await new_tenant(chosen))
    apart = as_system(chosen, await new_tenant(chosen))
    await within.put_many([container(each) for each in range(CONTAINERS)])
    await apart.put_many([each for number in range(CONTAINERS) for each in alone(number)])
    for each in ASKED:
        search = f"Observation?{each}"
        expected = {
            f"DiagnosticReport/{version.resource_id.replace('.', '#')}"
            for version in (await apart.search(plan(asked(search, 1000)))).versions
        }
        found = await contained(within, search)
        assert set(found) == expected, search
        assert expected, search
        holding = await rows(within, asked(f"{search}&_contained=true"))
        assert holding == sorted({row.partition("#")[0] for row in expected}), search


async def documents(repository: Repository, collection: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await collection.find({"t": repository.tenant.name}).to_list()
    return found


async def test_kept_in_step_by_every_way_to_write(any_repository: Repository) -> None:
    repository, search = any_repository, "Patient?_contained=true"
    database = repository._database
    await repository.create(container(1), resource_id="made")

    async def both(within: Repository) -> None:
        await within.create(container(2), resource_id="together")
        await within.delete("DiagnosticReport", "made")

    await repository.transaction(both)
    await repository.put_many([container(3), container(5)])
    assert await rows(repository, asked(search)) == [f"DiagnosticReport/{each}" for each in ("c03", "c05", "together")]
    await repository.put_many([container(3) | {"contained": []}, container(4) | {"id": "c05"}])
    await repository.update(container(2) | {"id": "together", "contained": [patient("q", "New")]})
    assert await rows(repository, asked("Patient?name=New&_contained=true")) == ["DiagnosticReport/together"]
    assert await rows(repository, asked("Patient?name=Name2&_contained=true")) == []
    assert not any("con" in each for each in await documents(repository, database.history))
    assert ["con" in each for each in await documents(repository, database.resources)].count(True) == 1
    await database.resources.update_many({"t": repository.tenant.name}, {"$unset": {"con": ""}})
    assert await rows(repository, asked(search)) == []


async def test_the_index_is_made_again_for_what_is_stored(store: Store) -> None:
    tenant = await new_tenant(store)
    repository = as_system(store, tenant)
    await repository.put_many([container(1), container(4)])
    await repository._database.resources.update_many({"t": tenant.name}, {"$unset": {"con": ""}})
    await store.reindexing(tenant).batch("DiagnosticReport", "", None)
    assert await rows(repository, asked("Patient?_contained=true")) == ["DiagnosticReport/c01"]
    assert ["con" in each for each in await documents(repository, repository._database.resources)].count(True) == 1


async def test_only_what_is_in_containers_that_the_caller_may_see(any_store: Store) -> None:
    tenant = await new_tenant(any_store)
    await as_system(any_store, tenant).put_many([container(1, of="p1"), container(2, of="p2"), patient("p1")])
    caller = Caller(tenant.name, "p1", "app", (Scope.parse("patient/*.rs"),), patient="p1")
    mine = any_store.repository(tenant, caller)
    assert await contained(mine, "Patient?") == ["DiagnosticReport/c01#p"]
    theirs = as_system(any_store, await new_tenant(any_store))
    assert await rows(theirs, asked("Patient?_contained=true")) == []


async def test_no_search_of_contained_resources_scans_or_sorts(mongo_url: str) -> None:
    async with profiled(mongo_url, [container(each) for each in range(CONTAINERS)]) as filled:
        await _nothing_scanned(filled)


async def _nothing_scanned(filled: Filled) -> None:
    for each in ("Patient?", "Observation?code=x,718-7", "Observation?value-quantity=gt4", "Observation?code:not=x"):
        query = asked(f"{each}&_contained=true")
        found = await rows(filled.repository, query)
        assert found
        assert await (await filled.repository.containers()).count(query) == len(found)
    ran = {"ns": {"$regex": r"\.resources$"}, "op": {"$in": ["query", "command", "getmore"]}, "command.hint": "con"}
    records = [each async for each in filled.profile.find(ran)]
    assert records
    for record in records:
        assert "con.tok" in record["planSummary"], record["planSummary"]
        assert not record.get("hasSortStage"), record["command"]
