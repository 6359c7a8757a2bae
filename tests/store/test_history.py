"""History at its three levels.  https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scope
from fhir_server.fhir.version import Version
from fhir_server.search.page import Position
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.store.resources import observation, patient

START = datetime(2024, 1, 1, tzinfo=UTC)
Level = tuple[str | None, str | None]


def clocked(store: Store, repository: Repository) -> Repository:
    """One second passes between writes."""
    seconds = count()
    return store.repository(
        repository.tenant, repository.caller, clock=lambda: START + timedelta(seconds=next(seconds))
    )


@pytest.fixture
async def written(any_store: Store, any_repository: Repository) -> Repository:
    repository = clocked(any_store, any_repository)
    await repository.update(patient("p1"))
    await repository.update(patient("p2"))
    await repository.update(observation("o1", "p1"))
    await repository.update(patient("p1", "Jones"))
    await repository.delete("Patient", "p2")
    await repository.update(patient("p1", "Brown"))
    return repository


def names(versions: tuple[Version, ...]) -> list[str]:
    return [f"{each.resource_id}/{each.version_id}" for each in versions]


async def test_of_a_resource(written: Repository) -> None:
    page = await written.history("Patient", "p1")
    assert names(page.versions) == ["p1/3", "p1/2", "p1/1"]
    assert page.next is None


async def test_of_a_type_with_deletions(written: Repository) -> None:
    page = await written.history("Patient")
    assert names(page.versions) == ["p1/3", "p2/2", "p1/2", "p2/1", "p1/1"]
    assert page.versions[1].deleted


async def test_of_everything(written: Repository) -> None:
    assert names((await written.history()).versions) == ["p1/3", "p2/2", "p1/2", "o1/1", "p2/1", "p1/1"]


async def test_of_a_deleted_resource(written: Repository) -> None:
    assert names((await written.history("Patient", "p2")).versions) == ["p2/2", "p2/1"]


@pytest.mark.parametrize("level", [("Patient", "p1"), ("Patient", None), (None, None)])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_join_to_the_whole(written: Repository, level: Level, size: int) -> None:
    whole = (await written.history(*level)).versions
    collected: list[Version] = []
    before: Position | None = None
    while True:
        page = await written.history(*level, before=before, count=size)
        collected += page.versions
        before = page.next
        if before is None:
            break
        assert len(page.versions) == size
    assert tuple(collected) == whole


@pytest.mark.parametrize("level", [("Patient", "p1"), ("Patient", None), (None, None)])
async def test_since(written: Repository, level: Level) -> None:
    whole = (await written.history(*level)).versions
    since = whole[1].last_updated
    assert (await written.history(*level, since=since)).versions == whole[:2]
    assert (await written.history(*level, since=since + timedelta(days=1))).versions == ()


async def test_the_same_id_and_time_in_many_types_is_told_apart(any_store: Store, any_repository: Repository) -> None:
    repository = any_store.repository(any_repository.tenant, any_repository.caller, clock=lambda: START)
    types = ["Account", "Basic", "Device", "Flag", "Group", "Invoice", "Library", "Media", "Observation", "Patient"]
    for resource_type in types:
        await repository.update({"resourceType": resource_type, "id": "same"})
    seen: list[str] = []
    before: Position | None = None
    while True:
        page = await repository.history(before=before, count=3)
        seen += [each.resource_type for each in page.versions]
        before = page.next
        if before is None:
            break
    assert seen == types[::-1]


async def test_no_version_of_what_the_caller_may_not_see_now(any_store: Store, written: Repository) -> None:
    """A version from when the resource was the patient's is hidden once it is another's, and the reverse."""
    await written.update(observation("moved", "p1"))
    await written.update(observation("moved", "p2"))
    await written.update(observation("gained", "p2"))
    await written.update(observation("gained", "p1"))
    scopes = (Scope.parse("patient/*.rs"),)
    p1 = Caller(written.tenant.name, "p1", "app", scopes, patient="p1")
    restricted = any_store.repository(written.tenant, p1)
    assert names((await restricted.history("Observation")).versions) == ["gained/2", "o1/1"]
    assert names((await restricted.history("Observation", "gained")).versions) == ["gained/2"]
    assert names((await restricted.history("Observation", count=1)).versions) == ["gained/2"]
    assert names((await restricted.history()).versions) == ["gained/2", "p1/3", "p1/2", "o1/1", "p1/1"]
