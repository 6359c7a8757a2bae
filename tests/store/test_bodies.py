"""Large bodies in GridFS.  https://hl7.org/fhir/R4/binary.html"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError, invalid
from fhir_server.store import bodies
from fhir_server.store.bodies import THRESHOLD, InGridFs
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system
from tests.store.resources import plan_of


def binary(resource_id: str = "b1", *, megabytes: float = 1.5, fill: str = "QUJD") -> dict[str, Any]:
    data = fill * int(megabytes * 2**18)
    return {"resourceType": "Binary", "id": resource_id, "contentType": "text/plain", "data": data}


async def files(repository: Repository) -> int:
    database = repository._database.bodies._database  # type: ignore[attr-defined]
    found = {"$regex": f"^{repository.tenant.name}\\|"}
    return int(await database["bodies.files"].count_documents({"_id": found}))


async def test_a_large_body_reads_like_any_other(any_repository: Repository) -> None:
    first, _ = await any_repository.update(binary())
    second, _ = await any_repository.update(binary(fill="REVG"))
    assert len(first.body) > THRESHOLD
    assert await any_repository.current("Binary", "b1") == second
    assert await any_repository.at("Binary", "b1", "1") == first
    assert (await any_repository.history("Binary", "b1")).versions == (second, first)
    page = await any_repository.search(plan_of("Binary?_id=b1"))
    assert list(page.versions) == [second]


async def test_is_not_in_its_document(repository: Repository) -> None:
    version, _ = await repository.update(binary(megabytes=20))
    document = await repository._database.resources.find_one({"t": repository.tenant.name})
    assert document is not None
    assert (document["body"], document["res"]) == (b"", None)
    assert await repository.current("Binary", "b1") == version
    assert await files(repository) == 1


async def test_a_small_body_is(repository: Repository) -> None:
    await repository.update(binary(megabytes=0.5))
    assert await files(repository) == 0


async def test_unchanged_is_seen_in_bulk(any_repository: Repository) -> None:
    assert [put.changed for put in await any_repository.put_many([binary()])] == [True]
    assert [put.changed for put in await any_repository.put_many([binary()])] == [False]
    assert [put.changed for put in await any_repository.put_many([binary(fill="REVG")])] == [True]


async def test_a_refused_write_leaves_no_file(repository: Repository) -> None:
    await repository.create(binary(), resource_id="b1")
    with pytest.raises(FhirError):
        await repository.create(binary(), resource_id="b1")
    assert await files(repository) == 1
    results = await asyncio.gather(
        *(repository.update(binary(fill="REVG"), expected=1) for _ in range(4)), return_exceptions=True
    )
    assert sum(not isinstance(each, BaseException) for each in results) == 1
    assert await files(repository) == 2


async def test_a_failed_transaction_leaves_no_file(repository: Repository) -> None:
    async def work(inside: Repository) -> None:
        version, _ = await inside.update(binary())
        assert await inside.current("Binary", "b1") == version
        raise invalid("no")

    with pytest.raises(FhirError):
        await repository.transaction(work)
    assert await files(repository) == 0

    await repository.transaction(lambda inside: inside.update(binary()))
    assert await files(repository) == 1
    assert (await repository.current("Binary", "b1")).version_id == 1


async def test_writers_in_bulk_leave_no_file_of_the_slower(repository: Repository) -> None:
    await asyncio.gather(*(repository.put_many([binary(fill=fill)]) for fill in ("QUJD", "REVG", "R0hJ")))
    versions = (await repository.history("Binary", "b1")).versions
    assert await files(repository) == len(versions)


async def test_erasing_removes_them(store: Store, repository: Repository) -> None:
    await repository.update(binary())
    await store.tenants.erase(repository.tenant.name)
    assert await files(repository) == 0


async def test_what_a_killed_process_left_is_swept(store: Store, repository: Repository) -> None:
    kept, _ = await repository.update(binary())
    await repository.update(binary(fill="REVG"))
    place = repository._database.bodies
    assert isinstance(place, InGridFs)
    orphan = {"_id": f"{repository.tenant.name}|Binary|b2", "v": 1, "body": b"x" * (THRESHOLD + 1)}
    stored = await place.moved_out(orphan)
    assert await files(repository) == 3
    ago, soon = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    assert await place.sweep(ago, ago) == 0
    assert await place.sweep(ago, soon) == 1
    await place.remove([stored])
    assert await as_system(store, repository.tenant).at("Binary", "b1", "1") == kept


async def test_beyond_the_largest_is_413(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST", 2**20)
    with pytest.raises(FhirError) as refusal:
        await repository.update(binary())
    assert (refusal.value.status, refusal.value.issues[0].code) == (413, "too-long")


async def test_a_document_beyond_16_megabytes_is_413(repository: Repository) -> None:
    """The body is moved out; an index of that size has no other place."""
    identifiers = [{"system": "http://ids", "value": f"{number}{'x' * 1000}"} for number in range(9_000)]
    with pytest.raises(FhirError) as refusal:
        await repository.update({"resourceType": "Patient", "id": "p1", "identifier": identifiers})
    assert (refusal.value.status, refusal.value.issues[0].code) == (413, "too-long")
