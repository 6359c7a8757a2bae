"""Reading and writing one resource, on the real MongoDB and in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import instant
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system
from tests.store.resources import observation, patient

NOW = datetime(2024, 5, 6, 7, 8, 9, 123_999, tzinfo=UTC)


def refused(status: int, code: str) -> Any:
    def check(problem: BaseException) -> bool:
        return isinstance(problem, FhirError) and (problem.status, problem.issues[0].code) == (status, code)

    return pytest.raises(FhirError, check=check)


async def test_create_gives_an_id_a_version_and_a_time(any_repository: Repository) -> None:
    created = await any_repository.create({"resourceType": "Patient", "active": True})
    assert (created.version_id, created.method, created.tenant) == (1, "POST", any_repository.tenant.name)
    assert created.resource() == {
        "resourceType": "Patient",
        "id": created.resource_id,
        "meta": {"versionId": "1", "lastUpdated": instant(created.last_updated)},
        "active": True,
    }
    assert created.last_updated.microsecond % 1000 == 0


async def test_reads_the_bytes_that_were_stored(any_repository: Repository) -> None:
    value = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.00"), "unit": "ä\n"}}
    created = await any_repository.create(value)
    assert b'"value":1.00,' in created.body
    assert await any_repository.current("Observation", created.resource_id) == created


async def test_stores_what_bson_cannot_say(repository: Repository) -> None:
    precise = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("0." + "12345" * 20)}}
    created = await repository.create(precise)
    assert (await repository.current("Observation", created.resource_id)).resource()["valueQuantity"] == precise[
        "valueQuantity"
    ]
    document = await repository._database.resources.find_one({"id": created.resource_id})
    assert document is not None
    assert document["res"] is None


async def test_keeps_the_native_form_unless_the_tenant_says_off(store: Store, repository: Repository) -> None:
    await repository.create({"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.50")}})
    document = await repository._database.resources.find_one({"t": repository.tenant.name})
    assert document is not None
    assert document["res"]["valueQuantity"]["value"].as_tuple() == Decimal("1.50").as_tuple()
    lean = as_system(store, await store.tenants.create(f"{repository.tenant.name}-lean", native="off"))
    await lean.create(patient())
    document = await repository._database.resources.find_one({"t": lean.tenant.name})
    assert document is not None
    assert "res" not in document


async def test_update_makes_the_next_version(any_repository: Repository) -> None:
    first, created = await any_repository.update(patient(family="Smith"))
    assert (first.version_id, first.method, created) == (1, "PUT", True)
    second, created = await any_repository.update(patient(family="Jones"))
    assert (second.version_id, created) == (2, False)
    assert second.last_updated > first.last_updated
    assert await any_repository.current("Patient", "p1") == second
    assert await any_repository.at("Patient", "p1", "1") == first
    assert await any_repository.at("Patient", "p1", "2") == second


async def test_if_match(any_repository: Repository) -> None:
    with refused(412, "conflict"):
        await any_repository.update(patient(), expected=1)
    await any_repository.update(patient())
    with refused(412, "conflict"):
        await any_repository.update(patient(), expected=2)
    second, _ = await any_repository.update(patient(), expected=1)
    assert second.version_id == 2
    with refused(412, "conflict"):
        await any_repository.delete("Patient", "p1", expected=1)
    assert (await any_repository.delete("Patient", "p1", expected=2)) is not None


async def test_delete_and_bring_back(any_repository: Repository) -> None:
    await any_repository.update(patient())
    deleted = await any_repository.delete("Patient", "p1")
    assert deleted is not None
    assert (deleted.version_id, deleted.deleted, deleted.body) == (2, True, b"")
    with refused(410, "deleted"):
        await any_repository.current("Patient", "p1")
    assert await any_repository.delete("Patient", "p1") is None
    assert (await any_repository.at("Patient", "p1", "1")).version_id == 1
    with refused(410, "deleted"):
        await any_repository.at("Patient", "p1", "2")
    third, created = await any_repository.update(patient())
    assert (third.version_id, created) == (3, True)
    with refused(410, "deleted"):
        await any_repository.at("Patient", "p1", "2")


async def test_what_is_not_there(any_repository: Repository) -> None:
    with refused(404, "not-found"):
        await any_repository.current("Patient", "p9")
    with refused(404, "not-found"):
        await any_repository.at("Patient", "p9", "1")
    with refused(404, "not-found"):
        await any_repository.history("Patient", "p9")
    assert await any_repository.delete("Patient", "p9") is None


@pytest.mark.parametrize("version_id", ["0", "01", "2", "-1", "1.0", "x", "1|1", "9" * 60])
async def test_an_unknown_version(any_repository: Repository, version_id: str) -> None:
    await any_repository.update(patient())
    with refused(404, "not-found"):
        await any_repository.at("Patient", "p1", version_id)


async def test_ids_of_types_are_apart(any_repository: Repository) -> None:
    await any_repository.update(patient("same"))
    await any_repository.update(observation("same", "same"))
    assert (await any_repository.current("Patient", "same")).resource_type == "Patient"
    assert (await any_repository.current("Observation", "same")).resource_type == "Observation"


async def test_existing(any_repository: Repository) -> None:
    await any_repository.update(patient("p1"))
    await any_repository.update(patient("p2"))
    await any_repository.delete("Patient", "p2")
    keys = [("Patient", "p1"), ("Patient", "p2"), ("Patient", "p3"), ("Observation", "p1")]
    assert await any_repository.existing(keys) == {("Patient", "p1")}
    assert await any_repository.existing([]) == frozenset()


async def test_of_concurrent_updates_one_wins(repository: Repository) -> None:
    await repository.update(patient())
    updates = [repository.update(patient(family=f"Smith{n}"), expected=1) for n in range(8)]
    results = await asyncio.gather(*updates, return_exceptions=True)
    lost = [each for each in results if isinstance(each, FhirError)]
    assert len(lost) == 7
    assert {each.status for each in lost} == {412}
    assert (await repository.current("Patient", "p1")).version_id == 2


async def test_of_concurrent_updates_without_if_match_none_is_lost_in_silence(repository: Repository) -> None:
    results = await asyncio.gather(*(repository.update(patient()) for _ in range(8)), return_exceptions=True)
    stored = [each for each in results if not isinstance(each, BaseException)]
    assert {each.status for each in results if isinstance(each, FhirError)} <= {409}
    assert (await repository.current("Patient", "p1")).version_id == len(stored)


async def test_creating_with_a_known_id_twice_is_a_conflict(any_repository: Repository) -> None:
    await any_repository.create(patient(), resource_id="p1")
    with refused(409, "conflict"):
        await any_repository.create(patient(), resource_id="p1")


async def test_time_never_goes_back_in_a_history(any_store: Store, any_repository: Repository) -> None:
    moments = iter([NOW, NOW - timedelta(hours=1), NOW])
    caller, tenant = any_repository.caller, any_repository.tenant
    repository = any_store.repository(tenant, caller, clock=lambda: next(moments))
    versions = [(await repository.update(patient()))[0] for _ in range(3)]
    assert [each.last_updated for each in versions] == [
        datetime(2024, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC) + timedelta(milliseconds=n) for n in range(3)
    ]


async def test_a_copy_left_by_a_writer_that_died_does_no_harm(repository: Repository) -> None:
    """Between the copy to the history and the replacement of the current version."""
    first, _ = await repository.update(patient())
    document = await repository._database.resources.find_one({"t": repository.tenant.name})
    assert document is not None
    await repository._database.history.insert_one({**document, "_id": f"{document['_id']}|1"})
    for level in (("Patient", "p1"), ("Patient", None), (None, None)):
        assert (await repository.history(*level)).versions == (first,)
    second, _ = await repository.update(patient(family="Jones"))
    for level in (("Patient", "p1"), ("Patient", None), (None, None)):
        assert (await repository.history(*level)).versions == (second, first)
