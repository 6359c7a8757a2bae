"""Writes that are recorded happen in transactions: they are answered as those that are not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conformance.conftest import served
from tests.conformance.run import run
from tests.conformance.site import Site
from tests.conformance.tables import Case, cases

WRITING = frozenset({"create", "delete", "patch", "transaction", "update"})
CASES = [case for case in cases() if case.table.name in WRITING]


@pytest.fixture(scope="module")
async def recording(mongo_url: str, database_name: str) -> AsyncIterator[Site]:
    async for each in served(mongo_url, database_name, audit=True):
        yield each


def test_the_tables_are_there() -> None:
    assert {case.table.name for case in CASES} == WRITING


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
async def test_recorded(recording: Site, case: Case) -> None:
    await run(recording, case, "http")
