"""Long work on the event loop, in steps between which other requests get their turn.

https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

STEP = 32
"""How many resources at a time: some ten milliseconds of work."""


async def paced(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with a pause for others after each step; a driver kept waiting gives up its connections."""
    for number, item in enumerate(items, 1):
        yield item
        if number % STEP == 0:
            await asyncio.sleep(0)
