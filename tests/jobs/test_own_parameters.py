"""From the definition of a search parameter to searches with it: nothing is missing, whoever writes meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store, opened
from fhir_server.store.repository import Repository
from tests.jobs.conftest import ask, parameter, patient, refusal, seen, total, work


async def status(store: Store, tenant: str) -> dict[str, object]:
    answer = await ask(store, tenant, "GET SearchParameter/favourite/$status")
    listed = json.trusted(answer.body or b"")["parameter"]
    return {each["name"]: next(value for name, value in each.items() if name != "name") for each in listed}


async def test_it_is_refused_until_everything_is_indexed(store: Store, tenant: str) -> None:
    await (await seen(store, tenant)).put_many([patient(f"p{number}") for number in range(5)])
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter())
    for request in (
        "GET Patient?favourite=red",
        "GET Patient?favourite:missing=true",
        "GET Patient?_sort=favourite",
        "GET Observation?subject:Patient.favourite=red",
        "GET Observation?subject.favourite=red",
        "GET Practitioner?_has:Patient:general-practitioner:favourite=red",
    ):
        problem = await refusal(store, tenant, request)
        assert (problem.status, problem.issues[0].code) == (503, "transient"), request
        assert "'favourite' of Patient is not ready" in str(problem), request
        assert ("Retry-After", "5") in problem.headers
    assert (await status(store, tenant))["status"] == "not-ready"
    assert "favourite" not in str((await ask(store, tenant, "GET metadata")).body)
    await work(store)
    assert await total(store, tenant, "Patient?favourite=red") == 5
    assert await status(store, tenant) == {"status": "ready", "percent": 100, "done": 5, "total": 5}
    assert b'"definition":"http://example.org/sp/favourite"' in ((await ask(store, tenant, "GET metadata")).body or b"")


async def test_a_refusal_says_how_far_it_is(store: Store, tenant: str) -> None:
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter())
    job = await store.jobs.take(["reindex"], "test")
    assert job is not None
    await store.jobs.advance(job, done=42, total=100, rate=2.0)
    (current,) = await store.jobs.listed(tenant)
    await store.parameters.report(current)
    assert "42 % of 100 done, about 29 s left." in str(await refusal(store, tenant, "GET Patient?favourite=red"))
    assert (await status(store, tenant))["secondsLeft"] == 29
    await store.jobs.release(job)
    await work(store)


async def test_a_reference_that_is_not_ready_is_not_followed(store: Store, tenant: str) -> None:
    mentor = parameter(type="reference", target=["Practitioner"])
    await ask(store, tenant, "PUT SearchParameter/favourite", mentor)
    assert (await refusal(store, tenant, "GET Patient?_include=Patient:favourite")).status == 503
    assert (await refusal(store, tenant, "GET Practitioner?_has:Patient:favourite:gender=male")).status == 503
    assert (await ask(store, tenant, "GET Patient?_include=*")).status == 200
    await work(store)


async def test_another_expression_is_indexed_anew(store: Store, tenant: str) -> None:
    await (await seen(store, tenant)).put_many([patient("p1"), patient("p2", "blue")])
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter())
    await work(store)
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter(expression="Patient.gender"))
    assert (await refusal(store, tenant, "GET Patient?favourite=red")).status == 503
    await work(store)
    assert await total(store, tenant, "Patient?favourite=red") == 0
    await ask(store, tenant, "DELETE SearchParameter/favourite")
    assert (await refusal(store, tenant, "GET Patient?favourite=red")).status == 400
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter())
    await work(store)
    assert await total(store, tenant, "Patient?favourite=red") == 1


async def outdated(store: Store, tenant: str) -> Repository:
    """Of a request that began before the tenant had the parameter, and writes when everything is indexed."""
    found = await store.tenants.get(tenant)
    assert found is not None
    assert found.own.version == 0
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter())
    await work(store)
    return store.repository(found, Caller.system(tenant, "test"))


async def test_who_has_not_learnt_of_it_indexes_it_all_the_same(store: Store, tenant: str) -> None:
    await (await seen(store, tenant)).put_many([patient("p1", "blue")])
    repository = await outdated(store, tenant)
    await repository.create(patient("new"), resource_id="new")
    assert await total(store, tenant, "Patient?favourite=red") == 1


@pytest.mark.parametrize("way", ["update", "put_many", "transaction"])
async def test_however_it_writes(store: Store, tenant: str, way: str) -> None:
    await (await seen(store, tenant)).put_many([patient("p1", "blue")])
    repository = await outdated(store, tenant)

    async def written(inside: Repository) -> None:
        await inside.update(patient("p1"))
        await inside.create(patient("p2"), resource_id="p2")

    if way == "update":
        await repository.update(patient("p1"))
        await repository.update(patient("p2"))
    elif way == "put_many":
        await repository.put_many([patient("p1"), patient("p2")])
    else:
        await repository.transaction(written)
    assert await total(store, tenant, "Patient?favourite=red") == 2
    assert await total(store, tenant, "Patient?favourite=blue") == 0


async def test_who_knows_nothing_newer_is_refused(store: Store, tenant: str) -> None:
    """The database itself refuses: it is no matter of what a process knows."""
    repository = await outdated(store, tenant)
    repository._around = replace(repository._around, latest=None)
    with pytest.raises(FhirError, match="have just changed") as problem:
        await repository.create(patient("new"))
    assert problem.value.status == 503
    assert await repository.delete("SearchParameter", "favourite")


async def test_nothing_is_missing_when_two_processes_write_meanwhile(store: Store, other: Store, tenant: str) -> None:
    """They write in every way while the parameter is defined, indexed and becomes ready."""
    await (await seen(store, tenant)).put_many([patient(f"p{number}") for number in range(400)])
    written = 400
    stopped = asyncio.Event()

    async def writer(place: Store, number: int) -> None:
        nonlocal written
        while not stopped.is_set():
            repository = await seen(place, tenant)
            names = [repository.new_id() for _ in range(4)]
            await repository.create(patient(names[0]), resource_id=names[0])
            await repository.put_many([patient(names[1]), patient(f"p{number}")])
            await repository.transaction(lambda inside: inside.create(patient(names[2]), resource_id=names[2]))  # noqa: B023
            written += 3

    writers = [asyncio.create_task(writer(place, number)) for number, place in enumerate((store, other, other))]
    await asyncio.sleep(0.1)
    await ask(store, tenant, "PUT SearchParameter/favourite", parameter())
    await work(other)
    counted = (
        await total(other, tenant, "Patient?favourite=red"),
        await total(other, tenant, "Patient?favourite:missing=true"),
    )
    await asyncio.sleep(1.2)
    stopped.set()
    await asyncio.gather(*writers)
    assert counted[1] == 0
    assert await total(store, tenant, "Patient?favourite=red") == written
    assert await total(store, tenant, "Patient?favourite:missing=true") == 0


async def test_a_tenant_without_any_pays_nothing(store: Store, tenant: str) -> None:
    repository = await seen(store, tenant)
    await repository.put_many([patient("p1")])
    document = await store.common.resources.find_one({"_id": f"{tenant}|Patient|p1"})
    assert document is not None
    assert "pv" not in document


async def test_an_erased_tenant_leaves_no_guard(store: Store, tenant: str) -> None:
    await outdated(store, tenant)
    await store.tenants.erase(tenant)
    again = await store.tenants.create(tenant)
    await store.repository(again, Caller.system(tenant, "test")).create(patient("p1"))


async def test_it_works_in_memory() -> None:
    async with opened(memory=True) as found:
        await found.tenants.create("acme")
        await (await seen(found, "acme")).put_many([patient("p1")])
        await ask(found, "acme", "PUT SearchParameter/favourite", parameter())
        await work(found)
        assert await total(found, "acme", "Patient?favourite=red") == 1
