"""One row asked of a running server: by HTTP, or as an entry of a batch."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.expectations import check
from tests.conformance.site import EVERYTHING, URL, Site
from tests.conformance.tables import Case

Tenants = tuple[str, str]
"""The tenant of a case and its neighbour."""


async def run(site: Site, case: Case, way: str) -> None:
    await follow(site, case, way, await site.tenants(case, way))


async def follow(site: Site, case: Case, way: str, tenants: Tenants) -> None:
    """Raises an AssertionError where an answer is not the one that the row expects.

    `<place>` is the last `Content-Location`; a step with `poll` is asked until it is not 202.
    """
    own, other = tenants
    ask = site.by_http if way == "http" else site.in_a_batch
    place = ""
    for each in (case.row, *case.row.get("then", ())):
        step = _addressed(each, tenants)
        step["request"] = step["request"].replace("<place>", place)
        neighbour = step.get("as") == "other-tenant"
        caller = other if neighbour else own
        scope = EVERYTHING if neighbour else step.get("as", EVERYTHING)
        # Whoever is not named is the operator, whom neither labels nor consents bind.
        more = step.get("claims", {} if "as" in step else {"clearance": ["*"]})
        claims = {"patient": step.get("patient"), "person": step.get("person"), "more": more}
        token = None if scope == "nobody" else await site.token(caller, scope, **claims)
        tenant = {"own": own, "other": other, "nowhere": "nowhere"}[step["tenant"]] if "tenant" in step else caller
        answer = await (ask if each is case.row else site.by_http)(tenant, token, step)
        while step.get("poll") and answer.status == 202:
            await asyncio.sleep(0.02)
            answer = await site.by_http(tenant, token, step)
        place = answer.headers.get("content-location", place)
        check(answer, step["expect"])
        if case.table.canary and not neighbour:
            assert case.table.canary not in answer.text


def _addressed(value: Any, tenants: Tenants) -> Any:
    """`<base>` in a row is the FHIR base of its tenant, `<other base>` that of the neighbour."""
    if isinstance(value, dict):
        return {name: _addressed(each, tenants) for name, each in value.items()}
    if isinstance(value, list):
        return [_addressed(each, tenants) for each in value]
    if isinstance(value, str) and "base>" in value:
        own, other = (f"{URL}/fhir/{name}" for name in tenants)
        return value.replace("<base>", own).replace("<other base>", other)
    return value
