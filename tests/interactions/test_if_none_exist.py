"""Conditional create: whoever asks, and from wherever, one creates.  https://hl7.org/fhir/R4/http.html#ccreate"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.fhir import json
from fhir_server.interactions.context import Context
from tests.interactions.conftest import ask

pytestmark = pytest.mark.slow

IDENTIFIERS = int(os.environ.get("FHIR_TEST_RACE_IDENTIFIERS", "150"))
PROCESSES = int(os.environ.get("FHIR_TEST_RACE_PROCESSES", "4"))
LANES = int(os.environ.get("FHIR_TEST_RACE_LANES", "2"))
"""Requests for the same identifier at the same time, in each process."""


async def raced(*words: object) -> int:
    command = [sys.executable, "-m", "tests.interactions.racing", *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return int(output)


async def entries(ctx: Context, url: str) -> tuple[list[dict[str, Any]], str | None]:
    bundle = json.trusted((await ask(ctx, f"GET {url}")).body or b"")
    following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    return bundle.get("entry", []), following[0].removeprefix(f"{ctx.base}/") if following else None


async def test_processes_leave_no_duplicates(
    ctx: Context, mongo_url: str, database_name: str, counted: Callable[[str, int], None]
) -> None:
    where = (mongo_url, database_name, ctx.repo.tenant.name)
    won = await asyncio.gather(*(raced(*where, IDENTIFIERS, LANES) for _ in range(PROCESSES)))
    found: list[str] = []
    url: str | None = "Patient?_count=1000"
    while url is not None:
        listed, url = await entries(ctx, url)
        found += [entry["resource"]["identifier"][0]["value"] for entry in listed]
    assert sorted(found) == sorted(set(found)), "duplicates"
    assert sum(won) == len(found) == IDENTIFIERS
    counted(f"identifiers created once by {PROCESSES} processes × {LANES} at a time", IDENTIFIERS)
