"""Calls of a key service: in threads of their own and bounded in time.

The libraries of key services block. Their threads are not those that anything else waits for, so a service that hangs
slows nothing down but what needs a key that is not remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

from fhir_server.store.kek.port import KekError

T = TypeVar("T")
Context = Mapping[str, str]

log = logging.getLogger(__name__)

SECONDS: Final = 3.0
"""After this a call has failed, whatever the library still tries."""
CONNECT: Final = 1.0
READ: Final = 1.5
SAID: Final = 300
"""Characters of a reason that are logged."""
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="key-service")

BROKEN = "A stored key was changed, or was wrapped by another key, or for something else than this."


@dataclass(frozen=True, slots=True)
class Service:
    """`failures` are what its library raises; `broken` knows those that are about what was to be unwrapped."""

    name: str
    failures: tuple[type[Exception], ...]
    broken: Callable[[Exception], bool]

    async def ask(self, call: Callable[[], T]) -> T:
        """The answer, or `KekError`; the log says what the service said, without what it was asked."""
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.get_running_loop().run_in_executor(_THREADS, call)
        except TimeoutError as problem:
            log.warning("The key service %s has not answered for %s seconds.", self.name, SECONDS)
            raise KekError(f"The key service {self.name} has not answered for {SECONDS:g} seconds.") from problem
        except self.failures as problem:
            if self.broken(problem):
                raise KekError(BROKEN) from problem
            log.warning("The key service %s refuses: %s", self.name, str(problem)[:SAID])
            raise KekError(f"The key service {self.name} refuses or cannot be reached.") from problem


def bound(plaintext: bytes, context: Context) -> bytes:
    """The plaintext together with what it is for, where the service itself does not bind the two."""
    return _digest(context) + plaintext


def unbound(opened: bytes, context: Context) -> bytes:
    digest = _digest(context)
    if opened[: len(digest)] != digest:
        raise KekError(BROKEN)
    return opened[len(digest) :]


def _digest(context: Context) -> bytes:
    """Of lengths and words, so that no two contexts read the same."""
    words = [word.encode() for pair in sorted(context.items()) for word in pair]
    return sha256(b"".join(len(word).to_bytes(4, "big") + word for word in words)).digest()
