"""$status of a SearchParameter: whether it can be searched with, and how far it is indexed.

https://hl7.org/fhir/R4/searchparameter-registry.html leaves to a server how it takes up parameters of its users.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations.operation import Call
from fhir_server.store.jobs import Job
from fhir_server.store.parameters import REINDEX


async def run(ctx: Context, call: Call) -> EntryResponse:
    """`not-in-use` is one that is no active parameter of this tenant's own."""
    await ctx.repo.current(call.resource_type, call.resource_id)
    tenant, own = ctx.repo.tenant.name, ctx.repo.own
    state = await own.state(tenant, call.resource_id) if own else None
    job = await own.jobs.get(tenant, REINDEX, state["job"]) if own and state else None
    body = {"resourceType": "Parameters", "parameter": _parameters(state, job)}
    return EntryResponse(200, json.encode(body), resource_type="Parameters")


def _parameters(state: Mapping[str, Any] | None, job: Job | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": "status", "valueCode": _status(state, job)}]
    if job is None:
        return found
    numbers = {"percent": job.percent, "done": job.done, "total": job.total}
    found += [{"name": name, "valueInteger": number} for name, number in numbers.items()]
    if job.open:
        found.append({"name": "rate", "valueDecimal": Decimal(f"{job.rate:.1f}")})
    if job.seconds_left is not None:
        found.append({"name": "secondsLeft", "valueInteger": job.seconds_left})
    if job.error:
        found.append({"name": "error", "valueString": job.error})
    return found


def _status(state: Mapping[str, Any] | None, job: Job | None) -> str:
    if state is None:
        return "not-in-use"
    if state["ready"]:
        return "ready"
    return "failed" if job is not None and job.state == "failed" else "not-ready"
