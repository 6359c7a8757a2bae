"""The time of a change is written as its column has it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.mapping.target import touched

DALLAS = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("kind", "before", "like"),
    [
        ("timestamp", "2024-05-06 10:30:00", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
        ("timestamp", "2024-05-06T10:30:00", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"),
        ("timestamp", "2024-05-06 10:30:00.123456", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"),
        ("timestamptz", "2024-05-06T10:30:00Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("timestamptz", "2024-05-06 10:30:00-05:00", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"),
        ("timestamptz", "2024-05-06 10:30:00", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    ],
)
def test_text_keeps_its_form(kind: str, before: str, like: str) -> None:
    assert re.fullmatch(like, touched(kind, before, DALLAS))


@pytest.mark.parametrize(
    ("kind", "before", "zone"),
    [
        ("timestamp", datetime(2024, 5, 6, 10, 30), DALLAS),
        ("timestamp", None, DALLAS),
        ("timestamptz", datetime(2024, 5, 6, 10, 30, tzinfo=UTC), UTC),
        ("timestamptz", None, UTC),
    ],
)
def test_a_time_without_a_zone_is_that_of_the_practice(kind: str, before: Any, zone: Any) -> None:
    found = touched(kind, before, DALLAS)
    now = datetime.now(zone) if found.tzinfo else datetime.now(zone).replace(tzinfo=None)
    assert (found.tzinfo is None) == (kind == "timestamp")
    assert abs(now - found) < timedelta(minutes=1)


def test_a_column_that_is_no_time_is_the_databases_own() -> None:
    assert touched("blob", b"\x00\x01", DALLAS) is None
