"""What every process that serves takes its turn with, again and again; what takes long is left to a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from fhir_server.store.connection import Store
from fhir_server.store.tasks import beside

log = logging.getLogger(__name__)

LOOK = 30.0
"""Seconds between two looks whether it is this process's turn."""


@dataclass(frozen=True, slots=True)
class Round:
    """A round that was killed is made again when its time has come again."""

    name: str
    every: timedelta
    made: Callable[[Store], Awaitable[object]]


@asynccontextmanager
async def going(store: Store, rounds: Sequence[Round]) -> AsyncIterator[None]:
    async with beside(_go(store, rounds)):
        yield


async def _go(store: Store, rounds: Sequence[Round]) -> None:
    while True:
        await once(store, rounds)
        await asyncio.sleep(LOOK)


async def once(store: Store, rounds: Sequence[Round]) -> None:
    """One that fails is no reason to leave out the others."""
    for each in rounds:
        try:
            if await store.turn(each.name, each.every):
                await each.made(store)
        except Exception as problem:
            log.warning("The round '%s' failed: %s", each.name, problem)
