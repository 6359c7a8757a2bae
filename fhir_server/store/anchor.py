"""Anchors: what is kept of checkpoints outside of the database, so that its past cannot be replaced with another.

A sink is only ever added to. The one here is a file; one line of JSON for each checkpoint.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec


class Anchored(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; with `erased` it says that the tenant was removed with all its checkpoints, and 0 is the number."""

    tenant: str
    checkpoint: int
    at: str
    hash: str = ""
    root: str = ""
    entries: int = 0
    kid: str = ""
    erased: bool = False


class Anchor(Protocol):
    """A sink outside of the database: a file, an object store with locks, a notary."""

    async def last(self, tenant: str) -> int:
        """The number of the tenant's last checkpoint here, or 0."""
        ...

    async def add(self, lines: Sequence[Anchored]) -> None:
        """Returns once they are durable."""
        ...


@dataclass(slots=True)
class Reached:
    """What has been read of the file so far: others may add to it too."""

    offset: int
    last: dict[str, int]


class AnchorFile:
    """A file on this machine, or on a mount that only takes additions. https://man7.org/linux/man-pages/man2/open.2.html"""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reached = Reached(0, {})
        self._lock = asyncio.Lock()

    async def last(self, tenant: str) -> int:
        async with self._lock:
            return await asyncio.to_thread(self._last, tenant)

    async def add(self, lines: Sequence[Anchored]) -> None:
        async with self._lock:
            await asyncio.to_thread(self._add, lines)

    def _last(self, tenant: str) -> int:
        if self._path.exists():
            with self._path.open("rb") as file:
                self._read(file.fileno())
        return self._reached.last.get(tenant, 0)

    def _add(self, lines: Sequence[Anchored]) -> None:
        """Whoever adds holds the lock, and leaves out what another has added meanwhile."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab+", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._read(file.fileno())
            new = [each for each in lines if each.erased or each.checkpoint > self._reached.last.get(each.tenant, 0)]
            broken = os.fstat(file.fileno()).st_size > self._reached.offset
            file.write((b"\n" if broken else b"") + b"".join(msgspec.json.encode(each) + b"\n" for each in new))
            file.flush()
            os.fsync(file.fileno())

    def _read(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        found = os.pread(descriptor, size - self._reached.offset, self._reached.offset)
        whole = found[: found.rfind(b"\n") + 1]
        for each in _lines(whole.splitlines()):
            self._reached.last[each.tenant] = each.checkpoint
        self._reached.offset += len(whole)


def anchored(path: Path, tenant: str) -> Iterator[Anchored]:
    """What a file says of a tenant, since it was last erased."""
    with path.open("rb") as file:
        erased = sum(each.erased and each.tenant == tenant for each in _lines(file))
    with path.open("rb") as file:
        for each in _lines(file):
            if each.tenant == tenant and not erased and not each.erased:
                yield each
            erased -= each.tenant == tenant and each.erased


def _lines(file: Iterable[bytes]) -> Iterator[Anchored]:
    """A line that a process died over is none; the checkpoint is in a later one."""
    for line in file:
        with suppress(msgspec.DecodeError):
            yield msgspec.json.decode(line, type=Anchored)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
