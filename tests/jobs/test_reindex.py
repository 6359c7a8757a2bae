"""The index made again: killed at any moment it goes on, and it overwrites nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from fhir_server.jobs import reindex
from fhir_server.jobs.running import Running
from fhir_server.store.connection import Store
from tests.jobs.conftest import ask, patient, seen, total, work

ROUNDS = int(os.environ.get("FHIR_CRASH_ROUNDS", "2"))
LOST: dict[str, Any] = {"tok": [], "str": [], "dat": [], "num": [], "cmp": [], "d": None}


async def lose_index(store: Store, tenant: str) -> None:
    await store.common.resources.update_many({"t": tenant}, {"$set": LOST})


async def test_everything_is_found_again(store: Store, tenant: str) -> None:
    resources = [{"resourceType": "Patient", "id": f"p{number}", "gender": "male"} for number in range(250)]
    medications = [{"resourceType": kind, "id": "m"} for kind in ("Medication", "MedicationKnowledge")]
    await (await seen(store, tenant)).put_many([*resources, *medications])
    await ask(store, tenant, "DELETE Patient/p0")
    await lose_index(store, tenant)
    job = await reindex.ask(store, tenant)
    assert (await reindex.ask(store, tenant)).job_id == job.job_id
    await work(store)
    assert await total(store, tenant, "Patient?gender=male") == 249
    assert await total(store, tenant, "Patient?gender:missing=true") == 0
    (done,) = await store.jobs.listed(tenant)
    assert (done.state, done.done, done.total) == ("finished", 251, 251)
    version = await (await seen(store, tenant)).current("Patient", "p1")
    assert version.version_id == 1


async def test_only_the_types_that_are_asked_for(store: Store, tenant: str) -> None:
    given = [{"resourceType": name, "id": "a", "gender": "male"} for name in ("Patient", "Practitioner")]
    await (await seen(store, tenant)).put_many(given)
    await lose_index(store, tenant)
    await reindex.ask(store, tenant, ["Practitioner"])
    await work(store)
    assert await total(store, tenant, "Practitioner?gender=male") == 1
    assert await total(store, tenant, "Patient?gender=male") == 0


async def test_a_newer_version_keeps_its_index(store: Store, tenant: str) -> None:
    """What is written between reading and writing of a batch is left alone."""
    repository = await seen(store, tenant)
    await repository.put_many([patient("p1", "old")])
    await reindex.ask(store, tenant)
    job = await store.jobs.take([reindex.KIND], "me")
    assert job is not None
    place = store.reindexing(repository.tenant)
    index = type(place)._index

    async def written_meanwhile(self: Any, document: Any) -> Any:
        found = await index(self, document)
        await repository.update({"resourceType": "Patient", "id": "p1", "gender": "male"})
        return found

    type(place)._index = written_meanwhile  # type: ignore[method-assign]
    try:
        await reindex.run(Running(store, job))
    finally:
        type(place)._index = index  # type: ignore[method-assign]
    await store.jobs.end(job, "finished")
    assert await total(store, tenant, "Patient?gender=male") == 1


async def test_killed_at_any_moment_it_goes_on(store: Store, tenant: str, mongo_url: str, database_name: str) -> None:
    resources = [{"resourceType": "Patient", "id": f"p{number:04}", "gender": "male"} for number in range(3000)]
    await (await seen(store, tenant)).put_many(resources)
    await lose_index(store, tenant)
    command = [sys.executable, "-m", "fhir_server.cli", "reindex", "--tenant", tenant, "--json"]
    environment = {**os.environ, "FHIR_MONGO_URL": mongo_url, "FHIR_DATABASE": database_name}
    for _ in range(ROUNDS):
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        before = await reached(store, tenant)
        for _ in range(200):
            await asyncio.sleep(0.05)
            if await reached(store, tenant) > before:
                break
        await asyncio.sleep(random.uniform(0, 0.15))
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        await store.common.jobs.update_many({"tenant": tenant}, {"$set": {"until": datetime.now(UTC)}})
    ended = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=True)
    (job,) = json.loads(ended.stdout)
    assert (job["state"], job["percent"]) == ("finished", 100)
    assert len(await store.jobs.listed(tenant)) <= ROUNDS + 1
    assert await total(store, tenant, "Patient?gender=male") == 3000


async def reached(store: Store, tenant: str) -> int:
    return sum(each.done for each in await store.jobs.listed(tenant))
