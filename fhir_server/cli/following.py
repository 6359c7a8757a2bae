"""A job that a command has asked for: done here, unless another process does it, with a bar that shows its progress."""

from __future__ import annotations

import asyncio

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fhir_server.cli.common import errors
from fhir_server.jobs import running
from fhir_server.jobs.running import Run
from fhir_server.store.connection import Store
from fhir_server.store.jobs import Job, new_owner

LOOK = 0.5
"""Seconds between two looks at a job that another process does."""


async def followed(found: Store, job: Job, work: Run, progress: Progress) -> Job:
    """Done here, unless another process does it."""
    bar = progress.add_task(job.tenant, total=None, rate="")
    doing = asyncio.create_task(_done(found, job, work))
    while True:
        ended, _ = await asyncio.wait({doing}, timeout=LOOK)
        current = await found.jobs.get(job.tenant, job.kind, job.job_id) or job
        progress.update(bar, completed=current.done, total=current.total, rate=f"{current.rate:,.0f}/s")
        if ended:
            await doing
            return current


async def _done(found: Store, job: Job, work: Run) -> None:
    owner = new_owner()
    while (current := await found.jobs.get(job.tenant, job.kind, job.job_id)) is not None and current.open:
        taken = await found.jobs.take((job.kind,), owner, only=job)
        if taken is None:
            await asyncio.sleep(LOOK)
        else:
            await running.run(found, taken, work)


def progress_bar(quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=errors, disable=quiet)
