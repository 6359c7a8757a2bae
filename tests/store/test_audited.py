"""AuditEvents are in a collection of their own, and nobody who reads or writes notices."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.right import Right
from fhir_server.fhir.resource import Resource
from fhir_server.store.connection import Store
from fhir_server.store.migrations import MIGRATIONS
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import patient, plan_of


def audit_event(resource_id: str = "a1", **more: Any) -> Resource:
    return {
        "resourceType": "AuditEvent",
        "id": resource_id,
        "type": {"code": "rest"},
        "action": "R",
        "recorded": "2024-05-06T07:08:09Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
        "entity": [{"what": {"reference": "Patient/p1"}}],
        **more,
    }


async def kept(repository: Repository) -> tuple[set[str], set[str]]:
    """What is in the collection of all others, and in that of AuditEvents."""
    database = repository._database
    found = [
        {each["_id"].partition("|")[2] async for each in collection.find({"t": repository.tenant.name})}
        for collection in (database.resources, database.audit)
    ]
    return found[0], found[1]


APART = ({"Patient|p1"}, {"AuditEvent|a1"})


async def test_written_one_by_one(any_repository: Repository) -> None:
    await any_repository.update(patient("p1"))
    first, _ = await any_repository.update(audit_event())
    second, created = await any_repository.update(audit_event(action="U"))
    assert await kept(any_repository) == APART
    assert not created
    assert await any_repository.current("AuditEvent", "a1") == second
    assert await any_repository.at("AuditEvent", "a1", "1") == first
    assert (await any_repository.history("AuditEvent")).versions == (second, first)
    await any_repository.delete("AuditEvent", "a1")
    assert await any_repository.existing([("AuditEvent", "a1"), ("Patient", "p1")]) == {("Patient", "p1")}


async def test_written_in_a_transaction(any_repository: Repository) -> None:
    async def work(inside: Repository) -> None:
        await inside.prefetch([("Patient", "p1"), ("AuditEvent", "a1")])
        await inside.update(patient("p1"))
        await inside.update(audit_event())

    for _ in range(2):
        await any_repository.transaction(work)
    assert await kept(any_repository) == APART
    found = await any_repository.several([("Patient", "p1"), ("AuditEvent", "a1")])
    assert [found[each].version_id for each in (("Patient", "p1"), ("AuditEvent", "a1"))] == [2, 2]


async def test_written_in_bulk(any_repository: Repository) -> None:
    for action in "RRU":
        puts = await any_repository.put_many([patient("p1"), audit_event(action=action)])
    assert await kept(any_repository) == APART
    assert [each.changed for each in puts] == [False, True]


async def test_a_large_one_is_read_and_swept_like_any_other(repository: Repository) -> None:
    version, _ = await repository.update(audit_event(outcomeDesc="x" * 2_000_000))
    assert await repository.current("AuditEvent", "a1") == version
    document = await repository._database.audit.find_one({"t": repository.tenant.name})
    assert document is not None
    assert await repository._database.bodies._named(document["file"])  # type: ignore[attr-defined]


async def test_found_on_their_own(any_repository: Repository) -> None:
    await any_repository.put_many([patient("p1"), audit_event()])
    assert [each.resource_id for each in (await any_repository.search(plan_of("AuditEvent?action=R"))).versions] == [
        "a1"
    ]
    assert [each.resource_id for each in (await any_repository.search(plan_of("?_id=a1"))).versions] == []
    assert await any_repository.existing([("AuditEvent", "a1")], Right.SEARCH) == {("AuditEvent", "a1")}


async def test_indexed_again(repository: Repository, store: Store) -> None:
    await repository.update(audit_event())
    await repository._database.audit.update_many({"t": repository.tenant.name}, {"$set": {"tok": []}})
    reindexing = store.reindexing(repository.tenant)
    assert await reindexing.counts(["AuditEvent", "Patient"], None) == {"AuditEvent": 1}
    assert await reindexing.batch("AuditEvent", "", None) == [f"{repository.tenant.name}|AuditEvent|a1"]
    assert len((await repository.search(plan_of("AuditEvent?action=R"))).versions) == 1


async def test_those_of_earlier_releases_move(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.store.migrations.MOVED", 2)
    repository = as_system(any_store, await new_tenant(any_store))
    await repository.put_many([patient("p1"), *(audit_event(f"a{number}") for number in range(5))])
    database = repository._database
    documents = [each async for each in database.audit.find({"t": repository.tenant.name})]
    await database.resources.insert_many(documents)
    await database.audit.delete_many({"_id": {"$in": [each["_id"] for each in documents[:3]]}})
    step = next(each for each in MIGRATIONS if each.number == 15)
    for _ in range(2):
        await step.run(database)
        assert await kept(repository) == ({"Patient|p1"}, {f"AuditEvent|a{number}" for number in range(5)})


ENTERED = {
    "AuditEvent?entity=Patient/p1": "ref",
    "AuditEvent?type=rest&entity=Patient/p1": "ref",
    "AuditEvent?outcome=8": "ref",
    "AuditEvent?address=192": "ref",
    "AuditEvent?action=R&_count=1": "order",
    "AuditEvent?_sort=date": "order",
    "AuditEvent?date=2024": "order",
    "AuditEvent?date=ge2024-05-06T07:08:09Z": "order",
    "AuditEvent?_lastUpdated=gt2020": "lu",
    "AuditEvent?type=rest&_sort=_lastUpdated": "lu",
}


@pytest.mark.parametrize("search", ENTERED)
async def test_are_found_by_what_tells_them_from_others(repository: Repository, search: str) -> None:
    for number in range(5):
        await repository.update(audit_event(f"a{number}"))
    step, *_ = await repository.explained(plan_of(search))
    assert step.indexes == (ENTERED[search],)
    assert "SORT" not in step.stages
