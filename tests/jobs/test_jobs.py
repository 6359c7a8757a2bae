"""Leases: one process at a time, taken over from one that died, given up by one that is not the owner any more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.fhir.outcome import bad_value, transient
from fhir_server.jobs import running, worker
from fhir_server.jobs.running import Running
from fhir_server.store.connection import Store
from fhir_server.store.jobs import ATTEMPTS, Job, LeaseLost


async def expire(store: Store, job: Job) -> None:
    """As if its process had given no sign of life for long."""
    key = {"_id": f"{job.tenant}|{job.kind}|{job.job_id}"}
    await store.common.jobs.update_one(key, {"$set": {"until": datetime.now(UTC) - timedelta(seconds=1)}})


async def state(store: Store, job: Job) -> Job:
    found = await store.jobs.get(job.tenant, job.kind, job.job_id)
    assert found is not None
    return found


async def test_one_of_many_gets_it(store: Store, tenant: str) -> None:
    job = await store.jobs.add(tenant, "a", {})
    taken = await asyncio.gather(*(store.jobs.take(["a"], str(number)) for number in range(8)))
    assert [each.job_id for each in taken if each] == [job.job_id]


async def test_the_oldest_first_and_only_of_ones_kinds(store: Store, tenant: str) -> None:
    first, _, _ = [await store.jobs.add(tenant, kind, {}) for kind in ("b", "b", "c")]
    taken = await store.jobs.take(["b", "none"], "me")
    assert taken is not None
    assert taken.job_id == first.job_id


async def test_a_dead_ones_job_is_taken_over_with_its_cursor(store: Store, tenant: str) -> None:
    job = await store.jobs.add(tenant, "d", {})
    dead = await store.jobs.take(["d"], "dead")
    assert dead is not None
    await store.jobs.advance(dead, done=3, total=9, cursor="here")
    assert await store.jobs.take(["d"], "heir") is None
    await expire(store, job)
    heir = await store.jobs.take(["d"], "heir")
    assert heir is not None
    assert (heir.cursor, heir.done, heir.percent) == ("here", 3, 33)
    with pytest.raises(LeaseLost):
        await store.jobs.advance(dead, done=4)
    with pytest.raises(LeaseLost):
        await store.jobs.end(dead, "finished")
    await store.jobs.end(heir, "finished")
    assert (await state(store, job)).percent == 100


async def test_a_cancelled_one_stops(store: Store, tenant: str) -> None:
    job = await store.jobs.add(tenant, "e", {})
    reached = []

    async def work(found: Running) -> None:
        for step in range(1000):
            reached.append(step)
            await store.jobs.cancel(found.job)
            await found.advance(done=step, cursor=step)

    assert await worker.one(store, {"e": work}, "me")
    assert reached == [0]
    assert (await state(store, job)).state == "cancelled"
    assert not await store.jobs.cancel(job)


async def test_what_fails_says_why_and_what_is_refused_for_now_is_tried_again(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PAUSE", 0)
    problems = [transient("not now"), bad_value("It is wrong."), None]

    async def work(_: Running) -> None:
        problem = problems.pop(0)
        if problem:
            raise problem

    jobs = [await store.jobs.add(tenant, "f", {}) for _ in range(2)]
    while await worker.one(store, {"f": work}, "me"):
        pass
    first, second = [await state(store, job) for job in jobs]
    assert (first.state, first.error) == ("failed", "It is wrong.")
    assert (second.state, second.error) == ("finished", None)


async def test_a_fault_of_ours_is_not_told(store: Store, tenant: str) -> None:
    async def work(_: Running) -> None:
        raise KeyError("secret")

    job = await store.jobs.add(tenant, "g", {})
    await worker.one(store, {"g": work}, "me")
    assert "secret" not in str((await state(store, job)).error)


async def test_what_kills_its_process_again_and_again_has_failed(store: Store, tenant: str) -> None:
    job = await store.jobs.add(tenant, "h", {})
    for _ in range(ATTEMPTS):
        assert await store.jobs.take(["h"], "dead")
        await expire(store, job)
    await worker.one(store, {"h": lambda _: asyncio.sleep(0)}, "me")
    assert (await state(store, job)).state == "failed"


async def test_a_worker_that_stops_leaves_its_job_to_others(store: Store, tenant: str) -> None:
    begun = asyncio.Event()

    async def work(_: Running) -> None:
        begun.set()
        await asyncio.sleep(60)

    job = await store.jobs.add(tenant, "i", {})
    async with worker.working(store, {"i": work}):
        await begun.wait()
        assert (await state(store, job)).state == "running"
    assert (await state(store, job)).state == "queued"


async def test_a_tenants_jobs_go_with_it(store: Store, tenant: str) -> None:
    await store.jobs.add(tenant, "k", {})
    await store.tenants.erase(tenant)
    assert await store.jobs.listed(tenant) == []
