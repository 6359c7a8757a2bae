"""Every row of every table, by HTTP and as an entry of a batch: `perform` promises the same answer."""

from __future__ import annotations

import pytest

from tests.conformance.expectations import check
from tests.conformance.site import EVERYTHING, Site
from tests.conformance.tables import Case, cases

CASES = cases()
IN_A_BATCH = [case for case in CASES if case.fits_in_a_batch]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
async def test_by_http(site: Site, case: Case) -> None:
    await _run(site, case, "http")


@pytest.mark.parametrize("case", IN_A_BATCH, ids=lambda case: case.title)
async def test_in_a_batch(site: Site, case: Case) -> None:
    await _run(site, case, "batch")


async def _run(site: Site, case: Case, way: str) -> None:
    own, other = await site.tenants(case, way)
    ask = site.by_http if way == "http" else site.in_a_batch
    for step in (case.row, *case.row.get("then", ())):
        neighbour = step.get("as") == "other-tenant"
        caller = other if neighbour else own
        scope = EVERYTHING if neighbour else step.get("as", EVERYTHING)
        token = None if scope == "nobody" else await site.token(caller, scope, patient=step.get("patient"))
        tenant = {"own": own, "other": other, "nowhere": "nowhere"}[step["tenant"]] if "tenant" in step else caller
        answer = await (ask if step is case.row else site.by_http)(tenant, token, step)
        check(answer, step["expect"])
        if case.table.canary and not neighbour:
            assert case.table.canary not in answer.text
