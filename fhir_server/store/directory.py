"""The data directory: who holds it, and where its `mongod` listens."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec

HOST = "127.0.0.1"


class Record(msgspec.Struct, frozen=True):
    """What is known of the `mongod` of a directory; the port outlives it, because the replica set remembers it."""

    port: int
    pid: int | None = None


@dataclass(frozen=True)
class Directory:
    """Only its user may enter: the data is personal, and so is the key that opens the database."""

    path: Path

    def prepare(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self.database.mkdir(exist_ok=True)

    @property
    def database(self) -> Path:
        return self.path / "db"

    @property
    def log(self) -> Path:
        return self.path / "mongod.log"

    @property
    def keyfile(self) -> Path:
        return self.path / "mongod.key"

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether this process now holds the directory; the kernel lets go of it however the process ends."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            held = False
        try:
            yield held
        finally:
            os.close(descriptor)

    def recorded(self) -> Record | None:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def record(self, record: Record) -> None:
        """Replaced as a whole, so a reader never sees half of it."""
        draft = self._record.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(record))
        draft.replace(self._record)

    @property
    def _record(self) -> Path:
        return self.path / "mongod.json"

    def secret(self) -> str:
        """The key of the replica set: the port is open to this machine, but useless to who cannot read this file."""
        if not self.keyfile.exists():
            descriptor = os.open(self.keyfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(128))
        return self.keyfile.read_text()

    def url(self, port: int) -> str:
        user = f"__system:{quote(self.secret())}"
        return f"mongodb://{user}@{HOST}:{port}/?directConnection=true&authSource=local&authMechanism=SCRAM-SHA-256"


def usable_port(wanted: int | None) -> int:
    """The port of last time if nobody has taken it since, else a free one."""
    for port in (wanted or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("There is no free port on the loopback interface.")
