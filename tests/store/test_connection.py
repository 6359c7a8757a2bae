"""Opening the store, and what happens when MongoDB is away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.store import mongod
from fhir_server.store.connection import Store, opened
from fhir_server.store.directory import Directory, usable_port
from fhir_server.store.errors import StoreError
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import patient, plan_of

pytestmark = pytest.mark.usefixtures("sockets_of_the_driver")

SOON = 6.0
"""Seconds; the promise is five, and the machine that runs the tests is busy."""


class Own(NamedTuple):
    store: Store
    pid: int
    repository: Repository


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Own]:
    """A store of its own, whose mongod may be stopped and killed."""
    async with opened(data_dir=tmp_path, mongod=os.environ.get("FHIR_MONGOD")) as store:
        record = Directory(tmp_path).recorded()
        assert record is not None
        assert record.pid is not None
        repository = as_system(store, await new_tenant(store))
        await repository.update(patient())
        yield Own(store, record.pid, repository)
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGCONT)


async def frozen(pid: int) -> None:
    """Stops a process and waits until it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    await asyncio.to_thread(_until_stopped, Path(f"/proc/{pid}/stat"))


def _until_stopped(status: Path) -> None:
    while status.read_text().rpartition(")")[2].split()[0] != "T":
        sleep(0.01)


async def test_data_is_there_again(tmp_path: Path) -> None:
    async with opened(data_dir=tmp_path) as store:
        version, _ = await as_system(store, await store.tenants.create("acme")).update(patient())
    started = monotonic()
    async with opened(data_dir=tmp_path) as store:
        assert monotonic() - started < SOON
        tenant = await store.tenants.get("acme")
        assert tenant is not None
        assert await as_system(store, tenant).current("Patient", "p1") == version


async def test_a_database_that_is_away_is_503_in_five_seconds(own: Own) -> None:
    await frozen(own.pid)
    attempts = {
        "ping": own.store.ping(),
        "read": own.repository.current("Patient", "p1"),
        "search": own.repository.search(plan_of("Patient?")),
        "create": own.repository.create(patient()),
        "update": own.repository.update(patient()),
        "bulk": own.repository.put_many([patient("p2")]),
        "transaction": own.repository.transaction(lambda inside: inside.update(patient())),
        "tenant": own.store.tenants.suspend("nobody"),
    }
    started = monotonic()
    results = await asyncio.gather(*attempts.values(), return_exceptions=True)
    assert monotonic() - started < SOON
    for name, result in zip(attempts, results, strict=True):
        assert isinstance(result, FhirError), (name, result)
        assert (name, result.status) == (name, 503)


async def test_it_goes_on_when_the_database_is_back(own: Own) -> None:
    await frozen(own.pid)
    with pytest.raises(FhirError):
        await own.repository.current("Patient", "p1")
    os.kill(own.pid, signal.SIGCONT)
    assert (await own.repository.current("Patient", "p1")).version_id == 1
    assert (await own.repository.update(patient()))[0].version_id == 2


async def test_a_killed_database_is_started_again(own: Own) -> None:
    os.kill(own.pid, signal.SIGKILL)
    deadline = monotonic() + 30
    while monotonic() < deadline:
        with contextlib.suppress(FhirError):
            assert (await own.repository.current("Patient", "p1")).version_id == 1
            break
        await asyncio.sleep(0.1)
    assert (await own.repository.update(patient()))[0].version_id == 2


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[str]:
    """A mongod that is not a member of a replica set."""
    binary, port = mongod.find(os.environ.get("FHIR_MONGOD")), usable_port(None)
    command = [str(binary), "--dbpath", str(tmp_path), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=9000"
        process.kill()


async def test_a_standalone_server_is_refused(standalone: str) -> None:
    deadline = monotonic() + 20
    while True:
        with pytest.raises(StoreError) as refusal:
            async with opened(mongo_url=standalone):
                pytest.fail("it has no transactions")
        if "does not answer" not in str(refusal.value):
            break
        assert monotonic() < deadline
    assert "not a replica set" in str(refusal.value)


async def test_nobody_there_is_told_without_the_password() -> None:
    started = monotonic()
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:\d+ does not answer") as refusal:
        async with opened(mongo_url=f"mongodb://user:secret@127.0.0.1:{usable_port(None)}/"):
            pytest.fail("nobody listens")
    assert "secret" not in str(refusal.value)
    assert monotonic() - started < SOON


@pytest.mark.parametrize("url", ["postgres://x", "mongodb://", "mongodb://a:99999"])
async def test_a_bad_url_is_told(url: str) -> None:
    with pytest.raises(StoreError, match="MongoDB"):
        async with opened(mongo_url=url):
            pytest.fail("it is no URL")


async def test_needs_a_place() -> None:
    with pytest.raises(StoreError, match="one of"):
        async with opened():
            pytest.fail("there is no place")


async def test_without_a_mongod_memory_is_used_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mongod, "find", lambda configured: None)
    with caplog.at_level(logging.WARNING):
        async with opened(data_dir=tmp_path) as store:
            assert (await as_system(store, await new_tenant(store)).update(patient()))[1]
            await store.ping()
    assert "kept in memory" in caplog.text


@pytest.mark.parametrize("options", ["", "&w=1&journal=false", "&retryWrites=false"])
async def test_every_write_waits_for_majority_and_journal(mongo_url: str, store: Store, options: str) -> None:
    """Whatever the URL says."""
    async with opened(mongo_url=mongo_url + options, database=store.common.name) as found:
        check_durable(found)


def check_durable(store: Store) -> None:
    for collection in (*store.common.personal, store.common.migrations, store.tenants._collection):
        assert collection.write_concern.document == {"w": "majority", "j": True, "wtimeout": 10_000}
