"""Data keys and keys of patients replaced, and what they have sealed sealed anew, while everything goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs import reencrypt, worker
from fhir_server.store import vault as vaults
from fhir_server.store.bodies import STALE
from fhir_server.store.connection import Store
from fhir_server.store.jobs import Job, new_owner
from fhir_server.store.layout import BODIES
from fhir_server.store.repository import Repository
from fhir_server.store.tenants import Tenant
from tests.store.conftest import as_system

_NUMBERS = count(1)
KINDS = {reencrypt.KIND: reencrypt.run}


@pytest_asyncio.fixture
async def tenant(sealed: Store, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    monkeypatch.setattr(reencrypt, "SETTLED", 0.0)
    monkeypatch.setattr(reencrypt, "PAUSE", 0.0)
    return await sealed.tenants.create(f"re{next(_NUMBERS)}")


def organization(number: int, name: str = "A") -> dict[str, Any]:
    return {"resourceType": "Organization", "id": f"o{number}", "name": name}


def patient(number: int, family: str = "A") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": family}]}


def observation(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"b{number}",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/p{number}"},
    }


async def filled(repository: Repository) -> None:
    """Fifteen current versions and ten superseded ones, of patients and of none."""
    for name in ("A", "B"):
        await repository.put_many([organization(number, name) for number in range(5)])
        await repository.put_many([patient(number, name) for number in range(5)])
    await repository.put_many([observation(number) for number in range(5)])


async def seen(repository: Repository) -> list[tuple[Any, ...]]:
    found = []
    for number in range(5):
        for resource_type, letter, versions in (("Organization", "o", 2), ("Patient", "p", 2), ("Observation", "b", 1)):
            for version in range(1, versions + 1):
                each = await repository.at(resource_type, f"{letter}{number}", str(version))
                found.append((resource_type, each.resource_id, each.version_id, each.last_updated, each.body))
    return found


async def keys(store: Store, tenant: Tenant) -> dict[str, int]:
    """How many versions each key has sealed."""
    counted: dict[str, int] = {}
    for collection in (store.common.resources, store.common.history):
        async for each in collection.find({"t": tenant.name}):
            counted[each["k"]] = counted.get(each["k"], 0) + 1
    return counted


async def done(store: Store, job: Job) -> Job:
    while await worker.one(store, KINDS, new_owner(), share=1.0):
        pass
    found = await store.jobs.get(job.tenant, job.kind, job.job_id)
    assert found is not None
    return found


async def test_everything_is_sealed_by_the_new_key_and_reads_as_before(sealed: Store, tenant: Tenant) -> None:
    repository = as_system(sealed, tenant)
    await filled(repository)
    before = await seen(repository)
    assert (await keys(sealed, tenant))["data/1"] == 10
    version = await sealed.key_versions(tenant).rotate()
    assert (version.key_id, version.state) == ("data/2", "active")
    await repository.put_many([organization(5)])
    assert (await keys(sealed, tenant))["data/2"] == 1
    job = await done(sealed, await reencrypt.ask(sealed, tenant.name))
    assert (job.state, job.done, job.total, job.error) == ("finished", 10, 10, None)
    assert await seen(repository) == before
    found = await keys(sealed, tenant)
    assert (found["data/2"], found["patient/p0/1"]) == (11, 3)
    assert "data/1" not in found
    assert await sealed.key_versions(tenant).wrapped_by("data/1") == 0
    sealed.vault.forget(tenant.name)
    assert await seen(repository) == before


async def test_each_patient_may_get_another_key_as_well(sealed: Store, tenant: Tenant) -> None:
    repository = as_system(sealed, tenant)
    await filled(repository)
    before = await seen(repository)
    await sealed.key_versions(tenant).rotate()
    job = await done(sealed, await reencrypt.ask(sealed, tenant.name, patients=True))
    assert (job.state, job.done) == ("finished", 25)
    assert await keys(sealed, tenant) == {"data/2": 10, **{f"patient/p{number}/2": 3 for number in range(5)}}
    assert await sealed.key_versions(tenant).patients() == {"active": 5, "retired": 5}
    sealed.vault.forget(tenant.name)
    assert await seen(repository) == before
    await repository.update(patient(0, "C"))
    assert (await keys(sealed, tenant))["patient/p0/2"] == 4


async def test_who_is_shredded_meanwhile_gets_no_other_key(
    sealed: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await as_system(sealed, tenant).put_many([patient(0), patient(1)])
    versions, insert = sealed.key_versions(tenant), sealed.vault.insert

    async def shredded(documents: Any) -> None:
        await versions.destroy(["patient/p0/1"])
        await insert(documents)

    monkeypatch.setattr(sealed.vault, "insert", shredded)
    await versions.renew_patients(datetime.now(UTC))
    assert [each.state for each in await versions.of_patient("p0")] == [vaults.DESTROYED] * 2
    assert [each.state for each in await versions.of_patient("p1")] == [vaults.RETIRED, vaults.ACTIVE]


async def test_large_bodies_are_written_to_new_files_and_the_old_ones_go_later(sealed: Store, tenant: Tenant) -> None:
    repository = as_system(sealed, tenant)
    large = {**organization(0), "name": "x" * 1_500_000}
    await repository.update(large)
    await repository.update({**large, "alias": ["y"]})
    files = sealed.common.resources.database[f"{BODIES}.files"]
    mine = {"_id": {"$gte": f"{tenant.name}|", "$lt": f"{tenant.name}}}"}}
    old = [each["_id"] for each in await files.find(mine).to_list()]
    await sealed.key_versions(tenant).rotate()
    assert (await done(sealed, await reencrypt.ask(sealed, tenant.name))).state == "finished"
    assert len((await repository.at("Organization", "o0", "1")).body) > 1_500_000
    assert b'"alias":["y"]' in (await repository.current("Organization", "o0")).body
    assert len(await files.find(mine).to_list()) == 4
    assert [each["_id"] for each in await files.find({**mine, STALE: {"$exists": True}}).to_list()] == old
    later = (await files.find_one({"_id": old[0]}))["uploadDate"].replace(year=2100)  # type: ignore[index]
    assert await sealed.common.bodies.sweep(later, later) == 2
    assert b'"alias":["y"]' in (await repository.current("Organization", "o0")).body


async def test_one_that_does_not_open_stops_no_other(sealed: Store, tenant: Tenant) -> None:
    repository = as_system(sealed, tenant)
    await filled(repository)
    broken = {"_id": f"{tenant.name}|Organization|o1"}
    document = await sealed.common.resources.find_one(broken)
    assert document is not None
    await sealed.common.resources.update_one(broken, {"$set": {"body": document["body"][:-1] + b"x"}})
    await sealed.key_versions(tenant).rotate()
    job = await done(sealed, await reencrypt.ask(sealed, tenant.name))
    assert (job.state, job.done) == ("failed", 9)
    assert "1 of what older keys have sealed does not open" in str(job.error)
    assert (await keys(sealed, tenant))["data/1"] == 1


async def test_two_rotate_at_once_and_a_rotation_that_was_killed(sealed: Store, tenant: Tenant) -> None:
    versions = sealed.key_versions(tenant)
    await versions.current()
    found = await asyncio.gather(*(versions.rotate() for _ in range(4)), return_exceptions=True)
    assert {each.status for each in found if isinstance(each, FhirError)} <= {409}
    assert [each.state for each in await versions.listed("data")].count(vaults.ACTIVE) == 1
    await sealed.common.encryption_keys.update_one({"_id": f"{tenant.name}|data/1"}, {"$set": {"state": "active"}})
    assert "data/1" in await versions.settle()
    assert [each.state for each in await versions.listed("data")].count(vaults.ACTIVE) == 1


async def test_a_job_that_waits_is_not_asked_for_twice(sealed: Store, tenant: Tenant) -> None:
    first = await reencrypt.ask(sealed, tenant.name)
    assert (await reencrypt.ask(sealed, tenant.name)).job_id == first.job_id
    assert (await reencrypt.ask(sealed, tenant.name, patients=True)).job_id != first.job_id
    await done(sealed, first)
