"""Conditions on other resources on the real MongoDB: from which side they start, how far they go, and their plans."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio

from fhir_server.access.caller import Caller
from fhir_server.access.restriction import SHARED
from fhir_server.access.scopes import Scope
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.search import joins
from fhir_server.search.include import Include
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store import walk
from fhir_server.store.connection import Store
from fhir_server.store.joins import Joins
from fhir_server.store.matches import Matches
from fhir_server.store.pages import Page
from fhir_server.store.repository import Repository
from tests.store.conftest import Filled, as_system, profiled
from tests.store.resources import BASE, observation, patient

PATIENTS = 300
EACH = 4
FAMILIES = ("Smith", "Jones", "Miller")


def person(number: int) -> Resource:
    doctor = {"reference": f"Practitioner/d{number % 10}"}
    return patient(f"p{number:03}", FAMILIES[number % 3], generalPractitioner=[doctor], gender=_gender(number))


def _gender(number: int) -> str:
    return "male" if number % 2 else "female"


def measured(number: int) -> Resource:
    found = observation(f"o{number:04}", f"p{number // EACH:03}", code=("8867-4", "718-7")[number % 2])
    return found | {"effectiveDateTime": f"2024-01-{1 + number % 28:02}T08:00:00Z", "valueQuantity": {"value": number}}


def doctor(number: int) -> Resource:
    return {"resourceType": "Practitioner", "id": f"d{number}", "name": [{"family": f"House{number}"}]}


def population() -> list[Resource]:
    return [
        *map(doctor, range(10)),
        *map(person, range(PATIENTS)),
        *map(measured, range(PATIENTS * EACH)),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(mongo_url: str) -> AsyncIterator[Filled]:
    async with profiled(mongo_url, population()) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_memory(memory_store: Store) -> Repository:
    repository = as_system(memory_store, await memory_store.tenants.create("joined"))
    await repository.put_many(population())
    return repository


def asked(search: str) -> Query:
    resource_type, _, query = search.partition("?")
    return parse((resource_type,), parse_qsl(query), lenient=False, base=BASE)


async def ids(repository: Repository, search: str) -> list[str]:
    """The ids of all pages, in order; the conditions are resolved for each page anew."""
    listed: list[str] = []
    position = None
    while True:
        page = await repository.search(plan(await repository.resolved(asked(search)), position))
        listed += [version.resource_id for version in page.versions]
        if page.next is None:
            return listed
        position = page.next


async def forget(filled: Filled) -> None:
    database = filled.profile.database
    await database.command("profile", 0)
    await filled.profile.drop()
    await database.command("profile", 2)


async def ran(filled: Filled) -> list[dict[str, Any]]:
    found = {"ns": {"$regex": r"\.resources$"}, "op": {"$in": ["query", "command", "getmore"]}}
    return [each async for each in filled.profile.find(found)]


SMITHS = [f"p{number:03}" for number in range(0, PATIENTS, 3)]
OF_SMITHS = [f"o{number:04}" for number in range(PATIENTS * EACH) if (number // EACH) % 3 == 0]

PAGED = [
    ("Observation?patient.name=smith&_count=37", OF_SMITHS),
    ("Observation?subject.name=smith&_sort=-date&_count=37", OF_SMITHS),
    ("Observation?patient.name=smith&_sort=_id&_count=100", OF_SMITHS),
    ("Observation?patient.gender:not=other&_count=400", [f"o{number:04}" for number in range(PATIENTS * EACH)]),
    ("Patient?_has:Observation:patient:code=8867-4&name=smith&_count=7", SMITHS),
    ("Patient?_has:Observation:patient:code=8867-4&name=smith&_sort=birthdate&_count=7", SMITHS),
    ("Patient?_has:Observation:patient:value-quantity=ge1160&_count=3", [f"p{number}" for number in range(290, 300)]),
    (
        "Observation?patient.general-practitioner:Practitioner.name=house3&_count=50",
        [f"o{number:04}" for number in range(PATIENTS * EACH) if (number // EACH) % 10 == 3],
    ),
    (
        "Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:value-quantity=lt12&_count=2",
        ["d0", "d1", "d2"],
    ),
]


@pytest.mark.parametrize(("search", "expected"), PAGED)
async def test_pages_join_to_the_whole(filled: Filled, in_memory: Repository, search: str, expected: list[str]) -> None:
    found = await ids(filled.repository, search)
    assert len(found) == len(set(found))
    assert sorted(found) == expected
    assert await filled.repository.count(plan(await filled.repository.resolved(asked(search)))) == len(expected)
    assert sorted(await ids(in_memory, search)) == expected


GOLDEN = [
    "Observation?patient.name=smith&_count=20",
    "Observation?patient.identifier=http://ids|1&_sort=-date",
    "Observation?patient.general-practitioner:Practitioner.name=house3&code=8867-4",
    "Patient?_has:Observation:patient:code=8867-4&_count=20",
    "Practitioner?_has:Patient:general-practitioner:family=smith",
]


async def test_a_definition_is_found_from_either_side(memory_store: Store) -> None:
    repository = as_system(memory_store, await memory_store.tenants.create("defined"))
    await repository.put_many([*map(questionnaire, range(40)), *map(response, range(120))])
    for most in (5_000, 39):
        joining = Joins(Matches(repository._database, repository._where), most)
        query = await joining.resolved(asked("QuestionnaireResponse?questionnaire.status=active&status=amended"))
        found = await repository.search(plan(query))
        assert sorted(each.resource_id for each in found.versions) == ["r60", "r62", "r90"]
    with pytest.raises(FhirError) as refused:
        await joining.resolved(asked("QuestionnaireResponse?questionnaire.status=active"))
    assert (refused.value.status, refused.value.issues[0].code) == (422, "too-costly")


def questionnaire(number: int) -> Resource:
    url = f"http://example.org/q{number // 2}"
    return {
        "resourceType": "Questionnaire",
        "id": f"q{number}",
        "url": url,
        "version": f"{number % 2}",
        "status": "active",
    }


def response(number: int) -> Resource:
    """Of version 1, of a version that there is not, or of any."""
    version = ("|1", "|7", "")[number % 3]
    status = "amended" if number in (60, 61, 62, 90, 114) else "completed"
    url = f"http://example.org/q{number // 5}{version}"
    return {"resourceType": "QuestionnaireResponse", "id": f"r{number}", "questionnaire": url, "status": status}


@pytest.mark.parametrize("search", GOLDEN)
async def test_no_step_scans_the_collection_or_sorts(filled: Filled, search: str) -> None:
    await forget(filled)
    await ids(filled.repository, search)
    records = await ran(filled)
    assert records
    for record in records:
        assert "COLLSCAN" not in record["planSummary"], record["command"]
        assert not record.get("hasSortStage"), (record["planSummary"], record["command"])


def limited(filled: Filled, most: int) -> Joins:
    repository = filled.repository
    return Joins(Matches(repository._database, repository._where), most)


SIDES = [
    ("Observation?patient.name=smith", 100),
    ("Observation?patient.gender=male&patient=p007", 1),
    ("Observation?patient.gender=male&_id=o0028,o0000", 2),
    ("Patient?_has:Observation:patient:status=final&family=smith", 100),
    ("Patient?_has:Observation:patient:status=final&_id=p001,p002", 2),
    ("Patient?_has:Observation:patient:value-quantity=lt8&gender=male", 2),
]


@pytest.mark.parametrize(("search", "most"), SIDES)
async def test_the_side_that_finds_less_is_enough(filled: Filled, search: str, most: int) -> None:
    query = await limited(filled, most).resolved(asked(search))
    whole = await filled.repository.resolved(asked(search))
    found = {version.resource_id for version in (await filled.repository.search(plan(query))).versions}
    assert found == {version.resource_id for version in (await filled.repository.search(plan(whole))).versions}
    assert found


@pytest.mark.parametrize(
    "search",
    [
        "Observation?patient.gender=male",
        "Observation?patient.gender=male&code=8867-4",
        "Patient?_has:Observation:patient:status=final",
        "Patient?_has:Observation:patient:status=final&gender=male",
    ],
)
async def test_too_much_on_both_sides_is_refused_and_never_cut(filled: Filled, search: str) -> None:
    with pytest.raises(FhirError) as refused:
        await limited(filled, 99).resolved(asked(search))
    assert (refused.value.status, refused.value.issues[0].code) == (422, "too-costly")


async def test_an_unresolved_condition_finds_nothing(filled: Filled) -> None:
    assert not (await filled.repository.search(plan(asked("Observation?patient.name=smith")))).versions


@pytest.mark.parametrize(
    ("scopes", "search"),
    [
        ("patient/Observation.rs", "Observation?patient.name=smith"),
        ("patient/Observation.rs patient/Patient.r", "Observation?patient.name=smith"),
        ("patient/Patient.rs", "Patient?_has:Observation:patient:code=1"),
        ("patient/Patient.rs patient/Observation.rs", "Observation?patient.general-practitioner:Practitioner.name=x"),
    ],
)
async def test_i45_i46_a_type_without_the_right_is_refused_before_the_database(
    filled: Filled, scopes: str, search: str
) -> None:
    await forget(filled)
    caller = Caller("acme", "p1", "app", tuple(map(Scope.parse, scopes.split())), patient="p001")
    with pytest.raises(FhirError) as refused:
        await filled.store.repository(filled.repository.tenant, caller).resolved(asked(search))
    assert refused.value.status == 403
    assert not await ran(filled)


@pytest.mark.parametrize(("search", "_"), PAGED)
async def test_every_query_holds_the_tenant_and_the_compartment(filled: Filled, search: str, _: list[str]) -> None:
    await forget(filled)
    caller = Caller("acme", "p1", "app", (Scope.parse("patient/*.rs"),), patient="p001")
    repository = filled.store.repository(filled.repository.tenant, caller)
    query = await repository.resolved(asked(search))
    page = await repository.search(plan(query))
    includes = (Include(False, True, "*", "*"), Include(True, True, "*", "*"))
    await repository.included(page.versions, includes, 1000)
    for record in await ran(filled):
        text = str(record["command"])
        assert "'t': 'acme'" in text
        types = re.findall(r"'rt': (?:{'\$in': \[(.*?)\]}|'(\w+)')", text)
        named = {each.strip("'") for listed, one in types for each in (one or listed).split(", ")}
        assert "'cmp': 'Patient/p001'" in text or named <= SHARED, text


async def included(repository: Repository, search: str, most: int = 1000) -> tuple[list[str], bool]:
    query = asked(search)
    page = await repository.search(plan(query))
    found = await repository.included(page.versions, query.includes, most)
    return [version.resource_id for version in found.versions], found.complete


async def test_includes_are_bounded_and_say_so(filled: Filled) -> None:
    search = "Practitioner?_id=d3&_revinclude=Patient:general-practitioner&_revinclude:iterate=Observation:patient"
    whole, complete = await included(filled.repository, search)
    assert (len(whole), len(set(whole)), complete) == (30 + 30 * EACH, 30 + 30 * EACH, True)
    part, complete = await included(filled.repository, search, 100)
    assert (len(part), len(set(part)), complete) == (100, 100, False)
    exact, complete = await included(filled.repository, search, 150)
    assert (len(exact), complete) == (150, True)


async def test_includes_in_memory(in_memory: Repository) -> None:
    found, complete = await included(in_memory, "Observation?_id=o0000&_include=*&_include:iterate=*")
    assert (sorted(found), complete) == (["d0", "p000"], True)


async def test_includes_use_keys_and_tokens(filled: Filled) -> None:
    await forget(filled)
    search = "Patient?_id=p001&_revinclude=*&_include=*"
    assert len((await included(filled.repository, search))[0]) == EACH + 1
    for record in await ran(filled):
        assert "COLLSCAN" not in record["planSummary"]
        assert record["docsExamined"] <= 10


async def test_hidden_candidates_take_no_place(filled: Filled) -> None:
    """With room for the caller's own only, what others have must not fill it first."""
    caller = Caller("acme", "p1", "app", (Scope.parse("patient/*.rs"),), patient="p003")
    repository = filled.store.repository(filled.repository.tenant, caller)
    found, complete = await included(repository, "Practitioner?_id=d3&_revinclude=Patient:general-practitioner", 1)
    assert (found, complete) == (["p003"], True)


async def test_inside_a_transaction_what_was_just_written_is_followed(filled: Filled) -> None:
    tenant = await filled.store.tenants.create("writing")
    repository = as_system(filled.store, tenant)

    async def work(inside: Repository) -> list[str]:
        await inside.create(patient("new", "Brandnew"), resource_id="new")
        await inside.create(observation("fresh", "new"), resource_id="fresh")
        return await ids(inside, "Observation?patient.name=brandnew")

    assert await repository.transaction(work) == ["fresh"]


def test_the_order_of_a_search_does_not_depend_on_what_its_conditions_find() -> None:
    """Else a page could not go on where the one before it ended."""
    query = asked("Observation?patient.name=smith&code=8867-4&status=final")
    orders = set()
    for size in (0, 1, 50, 500, 5_000):
        (criterion,) = joins.joined(query)
        assert criterion.join
        others = frozenset(f"Patient/{number}" for number in range(size))
        found = joins.narrowed(joins.plain(query), joins.resolved(query, criterion, criterion.join, others))
        orders.add(tuple(plan(found).sort))
    assert len(orders) == 1


WALKED = [
    "Observation?patient.name=smith&_count=37",
    "Observation?patient.name=smith&_sort=-date&_count=37",
    "Observation?patient.name=smith,jones&_count=100",
    "Observation?patient.gender=male&code=8867-4&_count=20",
    "Observation?patient.gender=male&code=8867-4,718-7&status=final&_count=150",
    "Observation?patient.gender:not=other&_count=400",
    "Observation?patient.name=smith&date=2024-01-05&_count=9",
    "Observation?patient.name=smith&subject=Patient/p003&_count=2",
    "Observation?patient.name=smith&date=ge2024-01-05&_count=40",
    "Observation?subject:Patient.name=smith&_count=1000",
    "Observation?patient.general-practitioner:Practitioner.name=house3&_count=10",
    "Observation?subject.name=smith&_count=30",
]


async def walked(repository: Repository, search: str) -> tuple[list[tuple[str, object]], int]:
    """Each result with where its page ended, and how many pages were found by walking."""
    listed: list[tuple[str, object]] = []
    position, count = None, 0
    while True:
        found = await repository.followed(asked(search), position)
        count += isinstance(found, Page)
        page = found if isinstance(found, Page) else await repository.search(plan(found, position))
        listed += [(version.resource_id, page.next) for version in page.versions]
        if page.next is None:
            return listed, count
        position = page.next


async def listed(repository: Repository, search: str) -> list[tuple[str, object]]:
    """The same without any walk."""
    found: list[tuple[str, object]] = []
    position = None
    while True:
        page = await repository.search(plan(await repository.resolved(asked(search)), position))
        found += [(version.resource_id, page.next) for version in page.versions]
        if page.next is None:
            return found
        position = page.next


@pytest.mark.parametrize("search", WALKED)
async def test_a_walk_finds_what_a_list_finds_in_the_same_order(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, search: str
) -> None:
    by_list = await listed(filled.repository, search)
    assert by_list
    monkeypatch.setattr(walk, "FEW", 3)
    monkeypatch.setattr(walk, "STRETCH", 1)
    await forget(filled)
    by_walk, walks = await walked(filled.repository, search)
    assert by_walk == by_list
    assert walks
    for record in await ran(filled):
        assert "COLLSCAN" not in record["planSummary"], record["command"]
        assert not record.get("hasSortStage"), (record["planSummary"], record["command"])


async def test_walked_in_memory_too(filled: Filled, in_memory: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "FEW", 3)
    found, walks = await walked(in_memory, WALKED[0].replace("37", "300"))
    assert (found, walks) == (await listed(filled.repository, WALKED[0].replace("37", "300")), 2)


async def test_a_walk_that_finds_too_few_is_given_up(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    search = "Observation?patient.name=smith&_count=37"
    by_list = await listed(filled.repository, search)
    monkeypatch.setattr(walk, "FEW", 3)
    monkeypatch.setattr(walk, "STRETCH", 1)
    monkeypatch.setattr(walk, "FURTHEST", 60)
    assert await walked(filled.repository, search) == (by_list, 0)


@pytest.mark.parametrize(
    "search",
    [
        "Observation?patient.name=smith&value-quantity=lt9",
        "Observation?patient.name=smith&_sort=_id",
        "Observation?patient.name=smith&_total=accurate",
        "Observation?patient.name=smith&_summary=count",
        "Observation?patient.name=smith&subject.gender=male",
        "Patient?_has:Observation:patient:code=8867-4",
    ],
)
async def test_what_is_not_walked(filled: Filled, monkeypatch: pytest.MonkeyPatch, search: str) -> None:
    monkeypatch.setattr(walk, "FEW", 3)
    assert isinstance(await filled.repository.followed(asked(search), None), Query)


async def test_who_sees_few_of_them_walks_none(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "FEW", 0)
    caller = Caller("acme", "p1", "app", (Scope.parse("patient/*.rs"),), patient="p003")
    mine = filled.store.repository(filled.repository.tenant, caller)
    assert isinstance(await mine.followed(asked("Observation?patient.name=smith"), None), Query)
