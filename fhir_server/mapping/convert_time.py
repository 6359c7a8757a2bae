"""Dates and times with the precision that the source has: a time or a zone is never made up.  https://hl7.org/fhir/R4/datatypes.html#dateTime"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.converter import MOMENT, Converter
from fhir_server.mapping.fault import Fault

FIRST_YEAR, LAST_YEAR = 1880, 9998
DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
MOMENT_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?\Z")
PLAIN = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?)?\Z")
MOMENT_TEXT_PLAIN = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?\Z")
NO_OFFSET = timedelta()
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\Z")


def _fault() -> Fault:
    return Fault("DATE_INVALID", f"The value is no date or time after {FIRST_YEAR}.")


def _parsed(value: Any) -> date | datetime:
    """A date where there is only a day, else a datetime, with its zone if it has one."""
    if isinstance(value, str):
        value = _read(value.strip())
    if not isinstance(value, date) or not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise _fault()
    return value


def _read(value: str) -> date | datetime:
    try:
        if DAY.match(value):
            return date.fromisoformat(value)
        if MOMENT_TEXT.match(value):
            return datetime.fromisoformat(value.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
    except ValueError as fault:
        raise _fault() from fault
    raise _fault()


def fhir_date(value: Any) -> str:
    """The day, whatever else the column holds."""
    if value.__class__ is str and PLAIN.match(value):
        _plainly(value)
        return value[:10]
    return _parsed(value).isoformat()[:10]


def date_time(value: Any, context: Context) -> str:
    """A day as a day; a moment in its own zone, or the tenant's where the column has none."""
    return _written(value, context.zone) if value.__class__ is str else _moment(value, context.zone)


def instant(value: Any, context: Context) -> str:
    """A moment; a bare day is its midnight in the tenant's zone."""
    found = date_time(value, context)
    return _midnight(found, context.zone) if len(found) == 10 else found


def _moment(value: Any, zone: tzinfo) -> str:
    if value.__class__ is str and MOMENT_TEXT_PLAIN.match(value) and zone.utcoffset(None) == NO_OFFSET:
        return _plain(value)
    found = _parsed(value)
    return _zoned(found, zone) if isinstance(found, datetime) else found.isoformat()


def _plain(value: str) -> str:
    """A moment of UTC that is written as in FHIR but for the separator and the zone: most of what databases hold."""
    found = _plainly(value)
    fraction = f".{found.microsecond // 1000:03}" if found.microsecond else ""
    return f"{value[:10]}T{value[11:19]}{fraction}Z"


def _plainly(value: str) -> datetime:
    """A day or a moment without a zone, written as in FHIR but for the separator."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError as fault:
        raise _fault() from fault
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise _fault()
    return found


_written = lru_cache(maxsize=4096)(_moment)
"""For text alone: moments that are equal may be written in different zones."""


@lru_cache(maxsize=4096)
def _midnight(day: str, zone: tzinfo) -> str:
    return _zoned(datetime.combine(date.fromisoformat(day), time()), zone)


def _zoned(moment: datetime, zone: tzinfo) -> str:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    text = aware.isoformat(timespec="milliseconds" if aware.microsecond else "seconds")
    return text.replace("+00:00", "Z") if aware.utcoffset() == NO_OFFSET else text


def clock(value: Any) -> str:
    """A time of day. https://hl7.org/fhir/R4/datatypes.html#time"""
    found = CLOCK.match(str(value).strip())
    if not found:
        raise Fault("TYPE_INVALID", "The value is no time of day.")
    try:
        return time(int(found[1]), int(found[2]), int(found[3] or 0)).isoformat()
    except ValueError as fault:
        raise Fault("TYPE_INVALID", "The value is no time of day.") from fault


def past(value: str, context: Context) -> str:
    """A day that has come: births and deaths are not in the future."""
    if value[:10] > context.day:
        raise Fault("DATE_INVALID", "The date lies in the future.")
    return value


def begun(value: str, context: Context) -> str | None:
    """A day or moment that is not in the future."""
    return value if value[:10] <= context.day else None


def lapsed(value: str | None, after: str, before: str, context: Context) -> str:
    """One word once the day is past, another until then and where there is no day."""
    return after if value is not None and value[:10] < context.day else before


def plus_minutes(value: str, minutes: Any) -> str | None:
    """A moment some minutes later."""
    try:
        later = datetime.fromisoformat(value) + timedelta(minutes=int(minutes))
    except (TypeError, ValueError, OverflowError):
        return None
    return _zoned(later, UTC)


def not_before(value: str, start: Any, context: Context) -> str:
    """An end that does not lie before its start."""
    if start is None:
        return value
    try:
        begun = instant(start, context)
    except Fault:
        return value
    if inverted(begun, value):
        raise Fault("PERIOD_INVERTED", "The end lies before the start.")
    return value


def inverted(start: str, end: str) -> bool:
    """Whether an end lies before its start, at the precision that both have."""
    if len(start) == 10 or len(end) == 10:
        return end[:10] < start[:10]
    return datetime.fromisoformat(end) < datetime.fromisoformat(start)


DATES = frozenset({"date", "dateTime", "instant"})
CONVERTERS = {
    "date": Converter(fhir_date, MOMENT, "date", fails=True, repeats=True),
    "dateTime": Converter(date_time, MOMENT, "dateTime", fails=True, context=True),
    "instant": Converter(instant, MOMENT, "instant", fails=True, context=True),
    "time": Converter(clock, frozenset({"time", "text", "item"}), "time", fails=True),
    "past": Converter(past, DATES, "same", fails=True, context=True),
    "begun": Converter(begun, DATES, "same", context=True),
    "lapsed": Converter(lapsed, DATES, "code", ("word", "word"), none=True, context=True, always=True),
    "plus_minutes": Converter(plus_minutes, frozenset({"instant"}), "same", ("column",)),
    "not_before": Converter(
        not_before, frozenset({"instant", "dateTime"}), "same", ("column",), fails=True, context=True
    ),
}
