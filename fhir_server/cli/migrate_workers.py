"""The processes that help with a migration: one for each core, all at work on one run."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fhir_server.cli.migrating import Opened, Order, opened
from fhir_server.mapping.shared_run import SharedRun
from fhir_server.store.jobs import Job


@contextmanager
def helpers(order: Order, run: Job, count: int, rows: int) -> Iterator[None]:
    """So many more processes until the work is done; they end with this one, however it ends."""
    spawning = multiprocessing.get_context("spawn")
    processes = [
        spawning.Process(target=_helps, args=(order, run, os.getpid(), rows), daemon=True) for _ in range(count)
    ]
    for each in processes:
        each.start()
    try:
        yield
    finally:
        for each in processes:
            each.join(timeout=10)
            each.terminate()


def _helps(order: Order, run: Job, parent: int, rows: int) -> None:
    asyncio.run(_help(order, run, parent, rows))


async def _help(order: Order, run: Job, parent: int, rows: int) -> None:
    async with opened(order) as found:
        await shared(found, run, rows).help(lambda: os.getppid() == parent)


def shared(found: Opened, run: Job, rows: int) -> SharedRun:
    return SharedRun(found.store.jobs, found.migration, run, rows=rows)
