"""Which passwords are refused, and how they are hashed.  NIST SP 800-63B-4 §3.1.1.2"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.auth import passwords
from fhir_server.auth.passwords import Busy, Passwords, fault
from tests.auth.people.town import CHEAP

ROWS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "passwords.yaml").read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_each_row(row: dict[str, Any]) -> None:
    password = row["password"] * row.get("times", 1)
    found = fault(password, second_factor=row.get("second_factor", False), about=("ann.lee", "Ann Lee", "riverside"))
    assert (found is None) == ("refused" not in row), found
    assert row.get("refused", "") in (found or "")


async def test_o53_nothing_is_cut_off_and_keyboards_do_not_matter() -> None:
    hashing = Passwords()
    long = "ä" * passwords.LONGEST
    kept = await hashing.hashed(long)
    assert kept.startswith("$argon2id$")
    assert await hashing.fits(kept, "a\N{COMBINING DIAERESIS}" * passwords.LONGEST)
    assert not await hashing.fits(kept, long[:-1])
    assert not await hashing.fits(kept, long + "x")
    assert not await hashing.fits(None, long)
    assert not await hashing.fits("not a hash", long)
    hashing.close()


async def test_a_flood_is_turned_away_before_it_waits() -> None:
    hashing = Passwords(CHEAP)
    kept = await hashing.hashed("right")
    answers = await asyncio.gather(
        *(hashing.fits(kept, "wrong") for _ in range(passwords.WAITING_MOST + 8)), return_exceptions=True
    )
    assert [type(each) for each in answers].count(Busy) == 8
    assert await hashing.fits(kept, "right")
    hashing.close()
