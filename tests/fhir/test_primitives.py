"""Dates as intervals, and the forms of primitive values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.primitives import (
    EXAMPLES,
    LAST,
    PATTERNS,
    PRIMITIVE_TYPES,
    Interval,
    interval_of,
    is_valid,
    period_interval,
)

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", utc(2024, 1, 1), utc(2025, 1, 1)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 3, 1)),
        ("2024-12", utc(2024, 12, 1), utc(2025, 1, 1)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2024-02-29T13:28", utc(2024, 2, 29, 13, 28), utc(2024, 2, 29, 13, 29)),
        ("2024-02-29T13:28:17", utc(2024, 2, 29, 13, 28, 17), utc(2024, 2, 29, 13, 28, 18)),
        ("2024-02-29T13:28:17-05:00", utc(2024, 2, 29, 18, 28, 17), utc(2024, 2, 29, 18, 28, 18)),
        ("2024-02-29T13:28:17.5Z", utc(2024, 2, 29, 13, 28, 17, 500_000), utc(2024, 2, 29, 13, 28, 17, 600_000)),
        ("2024-02-29T13:28:17.25Z", utc(2024, 2, 29, 13, 28, 17, 250_000), utc(2024, 2, 29, 13, 28, 17, 260_000)),
        ("2024-02-29T13:28:17.1239Z", utc(2024, 2, 29, 13, 28, 17, 123_000), utc(2024, 2, 29, 13, 28, 17, 124_000)),
        ("0001", utc(1, 1, 1), utc(2, 1, 1)),
        ("9999-12-31", utc(9999, 12, 31), LAST),
        ("0001-01-01T00:00:00+14:00", utc(1, 1, 1), utc(1, 1, 1, 0, 0, 1)),
    ],
)
def test_the_interval_that_a_date_names(text: str, low: datetime, high: datetime) -> None:
    assert interval_of(text) == Interval(low, high)


@pytest.mark.parametrize(
    "text",
    [
        "banana",
        "",
        "2024-1",
        "2024-13",
        "2024-02-30",
        "1900-02-29",
        "0000",
        "20240229",
        "2024-W01-1",
        "+2024",
        "99999",
        "2024-02-29Z",
        "2024-02-29T13",
        "2024-02-29T24:00:00Z",
        "2024-02-29T23:59:60Z",
        "2024-02-29T13:28:17+15:00",
        "2024-02-29T13:28:17+0500",
        "2024-02-29T13:28:17,5Z",
        "2024-02-29t13:28:17Z",
        "2024\n",
        " 2024",
        "２０２４",
    ],
)
def test_what_names_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        interval_of(text)


def test_a_period_may_be_open_at_either_end() -> None:
    assert period_interval({"start": "2024"}) == Interval(utc(2024, 1, 1), None)
    assert period_interval({"end": "2024"}) == Interval(None, utc(2025, 1, 1))
    assert period_interval({}) == Interval(None, None)


@given(MOMENTS)
def test_a_moment_is_in_the_interval_that_it_names(moment: datetime) -> None:
    milliseconds = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    found = interval_of(milliseconds.isoformat(timespec="milliseconds"))
    assert found == Interval(milliseconds.astimezone(UTC), milliseconds.astimezone(UTC) + timedelta(milliseconds=1))


@given(MOMENTS)
def test_a_coarser_date_holds_the_finer_ones(moment: datetime) -> None:
    text = moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    parts = [interval_of(each) for each in (text[:4], text[:7], text[:10], f"{text[:19]}Z", text)]
    for outer, inner in pairwise(parts):
        assert outer.low <= inner.low < inner.high <= outer.high  # type: ignore[operator]


@given(st.dates() | st.tuples(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)))
def test_the_pattern_knows_the_calendar(day: date | tuple[int, int, int]) -> None:
    year, month, number = (day.year, day.month, day.day) if isinstance(day, date) else day
    try:
        exists = bool(date(year, month, number))
    except ValueError:
        exists = False
    assert is_valid("date", f"{year:04}-{month:02}-{number:02}") is exists


@pytest.mark.parametrize(
    ("type_name", "good", "bad"),
    [
        ("code", "a b", " a"),
        ("code", "a", "a  b"),
        ("id", "A-1.b", "a_b"),
        ("id", "x" * 64, "x" * 65),
        ("uri", "urn:x", "urn: x"),
        ("oid", "urn:oid:1.2.0", "urn:oid:3.1"),
        ("oid", "urn:oid:2.16", "urn:oid:2.016"),
        ("uuid", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"),
        ("dateTime", "2024-02-29T13:28:17.1+14:00", "2024-02-29T13:28Z"),
        ("dateTime", "2024-02", "2024-02-29T13:28:17"),
        ("instant", "2024-02-29T13:28:17Z", "2024-02-29"),
        ("time", "23:59:59.9", "24:00:00"),
        ("base64Binary", "AAAA", "AAA"),
        ("base64Binary", "AAA=", "AA=A"),
        ("base64Binary", "AAAA\n AAAA", "AA AA"),
        ("base64Binary", "AA==", "!AA="),
        ("integer", -(2**31), 2**31),
        ("positiveInt", 1, 0),
        ("unsignedInt", 0, -1),
        ("decimal", 2**63 - 1, 2**63),
        ("string", " ", ""),
    ],
)
def test_the_form_of_a_primitive(type_name: str, good: object, bad: object) -> None:
    assert is_valid(type_name, good)
    assert not is_valid(type_name, bad)


@pytest.mark.parametrize("type_name", sorted(PATTERNS))
def test_no_pattern_takes_a_line_end_after_the_value(type_name: str) -> None:
    example = EXAMPLES[type_name].rsplit(" ", 1)[-1] if "such as" in EXAMPLES[type_name] else "AAAA"
    assert type_name in PRIMITIVE_TYPES
    assert is_valid(type_name, example)
    assert type_name == "base64Binary" or not is_valid(type_name, example + "\n")
