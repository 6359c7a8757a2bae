"""Every row of every table, by HTTP and as an entry of a batch: `perform` promises the same answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.run import run
from tests.conformance.site import Site
from tests.conformance.tables import Case, cases

CASES = cases()
IN_A_BATCH = [case for case in CASES if case.fits_in_a_batch]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
async def test_by_http(site: Site, case: Case, counted: Callable[[str, int], None]) -> None:
    await run(site, case, "http")
    counted("conformance cases right by HTTP", 1)


@pytest.mark.parametrize("case", IN_A_BATCH, ids=lambda case: case.title)
async def test_in_a_batch(site: Site, case: Case, counted: Callable[[str, int], None]) -> None:
    await run(site, case, "batch")
    counted("of these right as an entry of a batch", 1)
