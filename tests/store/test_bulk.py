"""Many resources at once."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from fhir_server.store import bulk
from fhir_server.store.repository import Repository
from tests.store.resources import observation, patient, plan_of


def outcomes(puts: list[bulk.Put]) -> list[tuple[str, int, bool, bool]]:
    return [(put.version.resource_id, put.version.version_id, put.created, put.changed) for put in puts]


async def test_creates_updates_and_leaves_alone(any_repository: Repository) -> None:
    first = await any_repository.put_many([patient("p1"), patient("p2"), observation("p1", "p1")])
    assert outcomes(first) == [("p1", 1, True, True), ("p2", 1, True, True), ("p1", 1, True, True)]
    second = await any_repository.put_many([patient("p3"), patient("p1"), patient("p2", "Jones")])
    assert outcomes(second) == [("p3", 1, True, True), ("p1", 1, False, False), ("p2", 2, False, True)]
    assert second[1].version == first[0].version
    assert len((await any_repository.history("Patient", "p2")).versions) == 2
    assert await any_repository.count(plan_of("Patient?name=jones")) == 1


async def test_another_number_of_digits_is_a_change(any_repository: Repository) -> None:
    def weight(text: str) -> dict[str, object]:
        return {"resourceType": "Observation", "id": "o1", "valueQuantity": {"value": Decimal(text)}}

    await any_repository.put_many([weight("1.0")])
    assert outcomes(await any_repository.put_many([weight("1.00")])) == [("o1", 2, False, True)]
    assert outcomes(await any_repository.put_many([weight("1.00")])) == [("o1", 2, False, False)]


async def test_brings_back_what_was_deleted(any_repository: Repository) -> None:
    await any_repository.put_many([patient()])
    await any_repository.delete("Patient", "p1")
    assert outcomes(await any_repository.put_many([patient()])) == [("p1", 3, True, True)]


async def test_gives_ids_and_keeps_the_order_of_equal_ones(any_repository: Repository) -> None:
    puts = await any_repository.put_many([patient(family="a"), {"resourceType": "Patient"}, patient(family="b")])
    assert [(put.version.version_id, put.created) for put in puts] == [(1, True), (1, True), (2, False)]
    assert (await any_repository.current("Patient", "p1")).resource()["name"] == [{"family": "b"}]
    assert (await any_repository.current("Patient", puts[1].version.resource_id)) == puts[1].version


async def test_equal_ids_keep_their_order_over_batches(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    puts = await repository.put_many([patient(f"p{number % 3}", family=f"f{number}") for number in range(9)])
    assert [put.version.version_id for put in puts] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert (await repository.current("Patient", "p2")).resource()["name"] == [{"family": "f8"}]


async def test_more_than_a_batch(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 3)
    resources = [patient(f"p{number}") for number in range(10)]
    assert [put.version.resource_id for put in await repository.put_many(resources)] == [
        each["id"] for each in resources
    ]
    assert not any(put.changed for put in await repository.put_many(resources))
    assert await repository.put_many([]) == []


async def test_writers_at_the_same_time_lose_nothing(repository: Repository) -> None:
    """Each says truly what it stored: every version has exactly one writer."""

    async def writer(name: str) -> list[bulk.Put]:
        return await repository.put_many([patient(f"p{number}", name) for number in range(20)])

    results = await asyncio.gather(*(writer(f"name{number}") for number in range(3)))
    stored = [put.version for puts in results for put in puts if put.changed]
    kept = [each for number in range(20) for each in (await repository.history("Patient", f"p{number}")).versions]
    assert sorted(stored, key=lambda each: each.location) == sorted(kept, key=lambda each: each.location)
    assert sum(put.created for puts in results for put in puts) == 20
