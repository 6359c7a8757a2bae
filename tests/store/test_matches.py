"""Searches on the real MongoDB: pages, counts, and which indexes are used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

import fhir_server.store.explanation
import fhir_server.store.matches
from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scope
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.search.parse import parse
from fhir_server.search.plan import Plan, plan
from fhir_server.store.connection import Store
from fhir_server.store.explanation import explained
from fhir_server.store.matches import Matches
from fhir_server.store.pages import Page
from fhir_server.store.repository import Repository
from tests.store.conftest import Filled, as_system, profiled
from tests.store.resources import BASE, observation, patient, plan_of

PATIENTS = 60
EACH = 20


def measured(number: int) -> Resource:
    of, nth = divmod(number, EACH)
    return observation(f"o{number}", f"p{of}", code=("8867-4", "8480-6", "29463-7")[nth % 3]) | {
        "effectiveDateTime": f"20{10 + nth % 15}-05-{1 + of % 28:02}T08:00:00Z",
        "valueQuantity": {"value": nth, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
    }


def person(number: int) -> Resource:
    identifier = [{"system": "http://ids", "value": str(number)}]
    return patient(f"p{number}", f"Smith{number % 7}", identifier=identifier, birthDate=f"{1950 + number}-01-01")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(mongo_url: str) -> AsyncIterator[Filled]:
    people = [person(number) for number in range(PATIENTS)]
    async with profiled(mongo_url, people, [measured(number) for number in range(PATIENTS * EACH)]) as found:
        yield found


async def pages(repository: Repository, search: str) -> list[Page]:
    """Every page, each asked for with the place where the one before it ended."""
    resource_type, _, query = search.partition("?")
    pairs = [tuple(pair.split("=", 1)) for pair in query.split("&")]
    understood = parse((resource_type,), pairs, lenient=False, base=BASE)  # type: ignore[arg-type]
    found = [await repository.search(plan(understood))]
    while found[-1].next:
        found.append(await repository.search(plan(understood, found[-1].next)))
    return found


PAGED = [
    "Patient?_count=7",
    "Patient?name=smith&_count=7",
    "Patient?name=smith&_sort=_id&_count=7",
    "Patient?_sort=-_lastUpdated&_count=7",
    "Patient?_sort=_id&_count=7",
    "Patient?_sort=-_id&_count=7",
    "Patient?_sort=family&_count=7",
    "Observation?_sort=code&_count=100",
    "Observation?_sort=patient&_count=100",
    "Patient?_sort=birthdate&_count=7",
    "Patient?birthdate=ge1960&_sort=-birthdate,_id&_count=7",
    "Observation?patient=Patient/p3&_count=7",
    "Observation?code=8867-4&_count=50",
    "Observation?code=http://loinc.org|8867-4&patient=Patient/p3&_sort=-date&_count=3",
    "Observation?date=ge2015&date=lt2018&_count=50",
    "Observation?date=2015&code=29463-7&_sort=date&_count=11",
    "Observation?value-quantity=gt15&_count=50",
    "Observation?_sort=_lastUpdated&_count=400",
    "Observation?patient=Patient/p3&_sort=value-quantity&_count=7",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_memory(memory_store: Store) -> Repository:
    repository = as_system(memory_store, await memory_store.tenants.create("acme"))
    await repository.put_many([person(number) for number in range(PATIENTS)])
    await repository.put_many([measured(number) for number in range(PATIENTS * EACH)])
    return repository


@pytest.mark.parametrize("search", PAGED)
async def test_pages_join_to_the_whole(filled: Filled, in_memory: Repository, search: str) -> None:
    found = await pages(filled.repository, search)
    rows = [version.resource_id for page in found for version in page.versions]
    assert len(rows) == len(set(rows)) == await filled.repository.count(plan_of(search))
    whole = await filled.repository.search(replace(plan_of(search), limit=5_000))
    assert whole.next is None
    together = [version.resource_id for version in whole.versions]
    assert sorted(rows) == sorted(together)
    assert len(found) > 1
    assert {version.tenant for page in found for version in page.versions} == {"acme"}
    remembered = [version.resource_id for page in await pages(in_memory, search) for version in page.versions]
    assert len(remembered) == len(set(remembered))
    assert sorted(remembered) == sorted(rows)


GOLDEN = [
    *(
        search
        for search in PAGED
        if "," not in search and "value-quantity" not in search and "smith&_sort=_id" not in search
    ),
    "Patient?_id=p3",
    "Patient?identifier=http://ids|7",
    "Patient?name:exact=Smith3",
    "Patient?birthdate=1960",
    "Patient?_lastUpdated=ge2020&_count=5",
    "Observation?patient=Patient/p3&code=8867-4",
    "Observation?patient=Patient/p3&category=vital-signs&date=ge2015",
    "Observation?patient=Patient/p3&_sort=-date",
    "Observation?patient=Patient/p3&value-quantity=gt15",
]


async def ran(filled: Filled, *operations: str) -> list[dict[str, Any]]:
    """What MongoDB recorded, apart from reading the record itself."""
    found = {"ns": {"$regex": r"\.(resources|history)$"}, "op": {"$in": list(operations)}}
    return [each async for each in filled.profile.find(found)]


async def forget(filled: Filled) -> None:
    database = filled.profile.database
    await database.command("profile", 0)
    await filled.profile.drop()
    await database.command("profile", 2)


def check_plan(record: dict[str, Any]) -> None:
    assert "COLLSCAN" not in record["planSummary"], record["command"]
    assert not record.get("hasSortStage"), (record["planSummary"], record["command"])


@pytest.mark.parametrize("search", GOLDEN)
async def test_no_page_scans_or_sorts(filled: Filled, search: str) -> None:
    await forget(filled)
    await pages(filled.repository, search)
    records = await ran(filled, "query", "command", "getmore")
    assert records
    for record in records:
        check_plan(record)


@pytest.mark.parametrize("search", GOLDEN)
async def test_no_count_scans(filled: Filled, search: str) -> None:
    await forget(filled)
    await filled.repository.count(plan_of(search))
    for record in await ran(filled, "command"):
        assert "COLLSCAN" not in record["planSummary"]


@pytest.mark.parametrize("level", [("Patient", "p3"), ("Patient", None), (None, None)])
async def test_no_history_scans_or_sorts(filled: Filled, level: tuple[str | None, str | None]) -> None:
    await forget(filled)
    page = await filled.repository.history(*level, count=5)
    await filled.repository.history(
        *level, count=5, before=page.next, since=page.versions[-1].last_updated - timedelta(hours=1)
    )
    records = await ran(filled, "query")
    assert len(records) >= 4
    for record in records:
        check_plan(record)
        assert record["docsExamined"] <= 400


async def test_a_patient_who_searches_by_code_reads_its_own_compartment_only(filled: Filled) -> None:
    await forget(filled)
    p3 = Caller("acme", "p3", "app", (Scope.parse("patient/*.rs"),), patient="p3")
    own = filled.store.repository(filled.repository.tenant, p3)
    page = await own.search(plan_of("Observation?code=8867-4&_count=5"))
    assert {version.resource()["subject"]["reference"] for version in page.versions} == {"Patient/p3"}
    (record,) = await ran(filled, "query")
    assert record["docsExamined"] <= EACH
    check_plan(record)


async def test_counting_tokens_reads_no_documents(filled: Filled) -> None:
    await forget(filled)
    assert await filled.repository.count(plan_of("Observation?code=8867-4")) == PATIENTS * 7
    (record,) = await ran(filled, "command")
    assert record["docsExamined"] == 0


async def test_a_deletion_is_not_counted(filled: Filled) -> None:
    other = as_system(filled.store, await filled.store.tenants.create("deleting"))
    for resource_id in ("p1", "p2"):
        await other.put_many([observation(f"o{resource_id}", resource_id)])
    await other.delete("Observation", "op1")
    for search in ("Observation?code=8867-4", "Observation?", "Observation?code:not=1", "Observation?date=2024"):
        assert (await other.count(plan_of(search)), len((await other.search(plan_of(search))).versions)) == (1, 1), (
            search
        )


async def test_one_query_a_page(filled: Filled) -> None:
    await forget(filled)
    page = await filled.repository.search(plan_of("Observation?code=8867-4&_count=300"))
    assert len(page.versions) == 300
    (record,) = await ran(filled, "query", "getmore")
    assert record["docsExamined"] <= 301


async def test_a_search_of_many_types(filled: Filled) -> None:
    page = await filled.repository.search(plan_of("?_type=Patient,Observation&_id=p3,o3"))
    assert sorted(version.resource_id for version in page.versions) == ["o3", "p3"]
    assert await filled.repository.count(plan_of("?_lastUpdated=ge2020")) == PATIENTS * (EACH + 1)


COUNTING = {"$map": {"input": {"$range": [0, 100_000]}, "in": {"$add": ["$$this", "$v"]}}}
SLOW = {"$expr": {"$gt": [{"$sum": COUNTING}, 0]}}
WAYS: dict[str, Callable[[Matches, Plan], Awaitable[object]]] = {
    "a page": lambda matches, plan: matches.page(plan),
    "a page in a computed order": lambda matches, plan: matches.page(plan),
    "a count": lambda matches, plan: matches.count(plan),
    "the ids of a condition": lambda matches, plan: matches.keys(plan, 100),
    "what a condition leads to": lambda matches, plan: matches.targets(
        plan, "general-practitioner", ("Practitioner",), 9
    ),
    "the definitions of a condition": lambda matches, plan: matches.canonicals(plan, 100),
    "an explanation": explained,
}


@pytest.mark.parametrize("way", WAYS)
async def test_what_takes_too_long_is_refused_and_never_answered_in_part(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for module in (fhir_server.store.matches, fhir_server.store.explanation):
        monkeypatch.setattr(module, "SLOWEST", 20)
    asked = plan_of("Patient?_sort=-family" if "computed" in way else "Patient?")
    matches = Matches(filled.repository._database, filled.repository._where)
    with pytest.raises(FhirError) as refused:
        await WAYS[way](matches, replace(asked, filter=SLOW, criteria=SLOW, hint=None))
    assert (refused.value.status, refused.value.issues[0].code) == (503, "too-costly")
