"""reindex: the index of a tenant's resources made again, by the search parameters it has now.

First MongoDB is made to refuse what is indexed by older ones; then everything that may be so indexed is gone through
once. The cursor is the key reached: a process that dies leaves the rest to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs.running import Running
from fhir_server.store.connection import Store
from fhir_server.store.errors import Outdated, StoreError
from fhir_server.store.jobs import Job, LeaseLost
from fhir_server.store.parameters import REINDEX

KIND: Final = REINDEX
REPORT = 0.5
"""Seconds between two reports to those who search."""


async def ask(store: Store, tenant: str, types: Sequence[str] = ()) -> Job:
    """A job for all resources of these types, or of all types; the one that is under way already, if there is one."""
    found = await store.tenants.latest(tenant)
    wanted = sorted(types or definitions.resource_types())
    for job in await store.jobs.listed(tenant, KIND):
        if job.open and job.given["types"] == wanted and not job.given["older"]:
            return job
    return await store.jobs.add(tenant, KIND, {"types": wanted, "version": found.own.version, "older": False})


async def run(running: Running) -> None:
    """Every type from where the cursor stands; then the search parameters that waited for it are ready."""
    try:
        await _indexed(running)
    except LeaseLost:
        raise
    except Exception as problem:
        if not (isinstance(problem, FhirError) and problem.status == 503):
            said = str(problem) if isinstance(problem, FhirError | StoreError) else "the server's log says why"
            await running.store.parameters.report(replace(running.job, error=f"Indexing it has failed: {said}."))
        raise


async def _indexed(running: Running) -> None:
    store, given = running.store, running.job.given
    tenant = await store.tenants.latest(running.job.tenant)
    if tenant.own.version:
        await store.raise_guard(tenant)
    older = given["version"] if given["older"] else None
    if running.job.cursor is None:
        counts = await store.reindexing(tenant).counts(given["types"], older)
        await running.advance(done=0, total=sum(counts.values()), cursor={"types": list(counts), "after": ""})
    while types := running.job.cursor["types"]:
        await _of_type(running, types, older)
        await running.advance(done=running.job.done, cursor={"types": types[1:], "after": ""})
    await store.parameters.settle(tenant.name, given["version"], given["types"])


async def _of_type(running: Running, types: list[str], older: int | None) -> None:
    """The first of the types that are left, in batches, each by what the tenant is then."""
    store, reported, after = running.store, 0.0, running.job.cursor["after"]
    while True:
        tenant = await store.tenants.latest(running.job.tenant)
        try:
            keys = await store.reindexing(tenant).batch(types[0], after, older)
        except Outdated:
            continue
        if not keys:
            return
        after = keys[-1]
        await running.advance(done=running.job.done + len(keys), cursor={"types": types, "after": after})
        if monotonic() - reported > REPORT:
            reported = monotonic()
            await store.parameters.report(running.job)


def described(job: Job) -> Mapping[str, Any]:
    """For a program."""
    names = ("tenant", "kind", "state", "done", "total", "percent", "error", "created", "ended")
    shown = {name: getattr(job, name) for name in names}
    return {"job": job.job_id, **shown, "rate": round(job.rate, 1), "seconds_left": job.seconds_left}
