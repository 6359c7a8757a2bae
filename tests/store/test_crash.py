"""mongod killed under load: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.version import Version
from fhir_server.store.connection import Store, opened
from fhir_server.store.directory import Directory
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system
from tests.store.resources import observation, patient

pytestmark = pytest.mark.usefixtures("sockets_of_the_driver")

ROUNDS = int(os.environ.get("FHIR_CRASH_ROUNDS", "3"))
WRITERS = 8
SIZE = 200

Write = Callable[[Repository, int], Awaitable[None]]


async def repository_of(store: Store) -> Repository:
    return as_system(store, await store.tenants.get("acme") or await store.tenants.create("acme"))


async def killed_under(work: Write, place: Path, seconds: float) -> None:
    """Writers go on until they notice, or a little longer than the kill; 503 is the only refusal they may get."""
    async with opened(data_dir=place) as store:
        repository = await repository_of(store)
        record = Directory(place).recorded()
        assert record is not None
        assert record.pid is not None

        async def writer(number: int) -> None:
            while not stopped.is_set():
                await work(repository, number)

        stopped = asyncio.Event()
        tasks = [asyncio.create_task(writer(number)) for number in range(WRITERS)]
        await asyncio.sleep(seconds)
        os.kill(record.pid, signal.SIGKILL)
        await asyncio.sleep(0.2)
        stopped.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {each.status for each in ended if isinstance(each, FhirError)} <= {503}, ended


async def test_no_acknowledged_write_is_lost(tmp_path: Path) -> None:
    acknowledged: dict[str, Version] = {}

    async def update(repository: Repository, number: int) -> None:
        version, _ = await repository.update(patient(f"p{number}"))
        acknowledged[version.location] = version

    for _ in range(ROUNDS):
        await killed_under(update, tmp_path, random.uniform(0.2, 0.6))
    async with opened(data_dir=tmp_path) as store:
        repository = await repository_of(store)
        stored = {
            version.location: version
            for number in range(WRITERS)
            for version in (await repository.history("Patient", f"p{number}", count=100_000)).versions
        }
    assert len(acknowledged) > WRITERS * ROUNDS
    assert acknowledged.items() <= stored.items()
    # What was on its way was stored once or not at all.
    assert len(stored) - len(acknowledged) <= WRITERS * ROUNDS
    assert not has_gaps(stored.values())


def has_gaps(versions: object) -> bool:
    """Whether a resource has more versions than its highest number, or fewer."""
    assert hasattr(versions, "__iter__")
    numbers = [(each.resource_id, each.version_id) for each in versions]
    counted = Counter(resource_id for resource_id, _ in numbers)
    return any(max(n for one, n in numbers if one == name) != many for name, many in counted.items())


async def test_a_transaction_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    done: set[str] = set()

    async def bundle(repository: Repository, number: int) -> None:
        name = f"{number}-{repository.new_id()}"

        async def work(inside: Repository) -> None:
            for entry in range(SIZE):
                await inside.create(observation("", "p1") | {"method": {"text": name}}, resource_id=f"{name}-{entry}")

        await repository.transaction(work)
        done.add(name)

    for _ in range(ROUNDS):
        await killed_under(bundle, tmp_path, random.uniform(0.2, 0.8))
    async with opened(data_dir=tmp_path) as store:
        repository = await repository_of(store)
        ids = [each["id"] async for each in repository._database.resources.find({"t": "acme"}, {"id": 1})]
    entries = Counter(each.rsplit("-", 1)[0] for each in ids)
    assert set(entries.values()) <= {SIZE}
    assert done <= entries.keys()
