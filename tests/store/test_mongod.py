"""The embedded mongod: one per directory, gone with its parent, back after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from fhir_server.store import mongod
from fhir_server.store.directory import Directory, Record, usable_port
from fhir_server.store.errors import StoreError

CHILD = """
import asyncio, sys
from pathlib import Path
from fhir_server.store import mongod

async def main():
    async with mongod.running(Path(sys.argv[1]), Path(sys.argv[2])) as url:
        print(url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def binary() -> Path:
    found = mongod.find(os.environ.get("FHIR_MONGOD"))
    assert found is not None
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a place with spaces"


@pytest.fixture
def child(place: Path, binary: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that keeps the directory's mongod running; its URL is what it prints."""
    command = [sys.executable, "-c", CHILD, str(place), str(binary)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def printed(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


def runs(pid: int) -> bool:
    """One that has ended, but whose parent has not asked, has no command line."""
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and b"\0" in command.read_bytes()


def pid_of(place: Path) -> int:
    record = Directory(place).recorded()
    assert record is not None
    assert record.pid is not None
    return record.pid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def count(url: str) -> int:
    with MongoClient[dict[str, object]](url) as client:
        client.kept.things.insert_one({})
        return client.kept.things.count_documents({})


async def test_keeps_data_and_its_address_between_starts(place: Path, binary: Path) -> None:
    async with mongod.running(place, binary) as first:
        assert count(first) == 1
    started = monotonic()
    async with mongod.running(place, binary) as second:
        assert monotonic() - started < 5
        assert second == first
        assert count(second) == 2
    record = Directory(place).recorded()
    assert record is not None
    assert record.pid is None


async def test_moves_when_its_port_was_taken(place: Path, binary: Path) -> None:
    async with mongod.running(place, binary) as first:
        count(first)
    Directory(place).record(Record(usable_port(None)))
    async with mongod.running(place, binary) as second:
        assert second != first
        assert count(second) == 2


async def test_a_second_user_of_the_directory_shares_the_first_ones(place: Path, binary: Path) -> None:
    async with mongod.running(place, binary) as first:
        pid = pid_of(place)
        async with mongod.running(place, binary) as second:
            assert second == first
        assert pid_of(place) == pid
        assert count(first) == 1


async def test_another_process_shares_it_too(place: Path, binary: Path, child: subprocess.Popen[str]) -> None:
    url = await printed(child)
    async with mongod.running(place, binary) as found:
        assert found == url


async def test_ends_when_the_parent_is_killed_and_recovers(
    place: Path, binary: Path, child: subprocess.Popen[str]
) -> None:
    assert count(await printed(child)) == 1
    pid = pid_of(place)
    child.kill()
    await asyncio.to_thread(child.wait)
    async with mongod.running(place, binary) as url:
        assert count(url) == 2
        assert pid_of(place) != pid
    assert not runs(pid)


async def test_recovers_after_it_was_killed_itself(place: Path, binary: Path, child: subprocess.Popen[str]) -> None:
    assert count(await printed(child)) == 1
    os.kill(pid_of(place), signal.SIGKILL)
    child.kill()
    await asyncio.to_thread(child.wait)
    async with mongod.running(place, binary) as url:
        assert count(url) == 2


async def test_a_record_of_an_unrelated_process_is_not_believed(place: Path, binary: Path) -> None:
    directory = Directory(place)
    directory.prepare()
    directory.record(Record(usable_port(None), os.getpid()))
    async with mongod.running(place, binary) as url:
        assert count(url) == 1


async def test_only_its_user_may_read_it(place: Path, binary: Path) -> None:
    async with mongod.running(place, binary) as url:
        anonymous = "mongodb://" + url.partition("@")[2].partition("/")[0]
        with (
            MongoClient[dict[str, object]](anonymous, directConnection=True) as client,
            pytest.raises(OperationFailure, match="auth"),
        ):
            client.kept.things.find_one({})
    assert mode(place) == 0o700
    assert mode(Directory(place).keyfile) == 0o400


async def test_says_why_it_could_not_start(place: Path, tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'libcrypto.so.3 is missing' >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(StoreError, match=r"code 127.*libcrypto\.so\.3 is missing"):
        async with mongod.running(place, broken):
            pytest.fail("it does not run")


def test_a_configured_binary_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="FHIR_MONGOD"):
        mongod.find(str(tmp_path / "nothing"))


def test_path_comes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "mongod"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mongod.find() == own


@pytest.fixture
async def held(place: Path) -> AsyncIterator[Directory]:
    directory = Directory(place)
    directory.prepare()
    with directory.held() as held:
        assert held
        yield directory


async def test_a_directory_held_by_a_process_without_a_database_is_refused(
    held: Directory, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod, "START_SECONDS", 0.3)
    with pytest.raises(StoreError, match="Another process holds"):
        async with mongod.running(held.path, binary):
            pytest.fail("two may not share a directory")
