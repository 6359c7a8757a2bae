"""Rows written in groups: what comes while one group is on its way goes with the next one."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from pymongo.errors import PyMongoError

from fhir_server.fhir.outcome import FhirError, transient
from fhir_server.store.rows import Row

log = logging.getLogger(__name__)

MOST = 1000
"""Rows of a group."""
PATIENCE = 4.0
"""Seconds for a group; whoever waits longer is told that it was not written."""
AGAIN = 0.1
"""Seconds before a group is tried again."""
LATE = 1.0
"""Seconds after which a group should have been written."""

AWAY = "The record of this request could not be stored, so it is not answered. Please send it again."


class Waiting(NamedTuple):
    """A row, and who waits until it is written; one that is `stored` is written whether anybody waits or not."""

    row: Row
    done: asyncio.Future[None] | None = None
    stored: bool = False

    @property
    def wanted(self) -> bool:
        """Whoever was told no meanwhile has left no trace, and is not to leave one."""
        return self.stored or self.done is None or not self.done.done()


class Grouped:
    """`write` settles those of a group who wait, and raises where all of it is to be tried again."""

    def __init__(self, write: Callable[[list[Waiting]], Awaitable[None]], pause: float = 0.0) -> None:
        self._write = write
        self._pause = pause
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._since = 0.0

    def put(self, rows: Iterable[Waiting]) -> None:
        self._waiting += rows
        if self._waiting and self._task is None:
            self._since = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._run())

    @property
    def late(self) -> bool:
        """Whether what was put here is not written as it should be."""
        slow = self._task is not None and asyncio.get_running_loop().time() - self._since > LATE
        return self._failing or slow

    async def settled(self) -> None:
        """When nothing is waiting any more."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._pause)  # Whoever is about to come joins.
                taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._group([each for each in taken if each.wanted])
                self._since = asyncio.get_running_loop().time()
        finally:
            self._task = None  # Not when the task is seen to be done: who comes in between would wait for nobody.

    async def _group(self, group: list[Waiting]) -> None:
        """As often as there is time for; an outage ends with an error for those who wait."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while group:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._write(group)
                self._failing = False
                return
            except (PyMongoError, TimeoutError) as problem:
                self._failing = True
                if asyncio.get_running_loop().time() + AGAIN > deadline:
                    log.error("Events could not be recorded: %s", type(problem).__name__)
                    _fail(group)
                    return
            except Exception as problem:
                self._failing = True
                # Its text may be that of an event.
                log.error("Events could not be recorded: %s at %s", type(problem).__name__, _place(problem))
                _fail(group)
                return
            await asyncio.sleep(AGAIN)


def _place(problem: BaseException) -> str:
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _fail(group: Iterable[Waiting]) -> None:
    for each in group:
        settle(each.done, transient(AWAY))


def settle(done: asyncio.Future[None] | None, problem: FhirError | None = None) -> None:
    """Tells who waits, unless they were told already."""
    if done is None or done.done():
        return
    if problem is None:
        done.set_result(None)
    else:
        done.set_exception(problem)
