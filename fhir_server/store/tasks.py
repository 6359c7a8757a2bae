"""Tasks that go on beside others until they are told to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

AGAIN = 0.2
"""Seconds until a task that goes on though it was cancelled is cancelled again."""


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work goes on as long as what is inside."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await ended(task)
        if not task.cancelled():
            task.result()


async def ended(task: asyncio.Task[None]) -> None:
    """Cancels as often as it takes: the driver reports a cancelled wait as a broken connection now and then."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN)
