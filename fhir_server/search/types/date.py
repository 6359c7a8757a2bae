"""Search type date: rows `{p, s, e}` in `dat`, an interval from `s` up to, not including, `e`, in UTC milliseconds.

`p` is the code of the parameter, with a `~` where the interval is longer than a day.

Every value is the time that it names: `2024-02` the month, a Period from its start to its end, a Timing from its
first to its last moment. An open end lies beyond every date that can be written. The prefixes compare two intervals.
https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.primitives import Interval, interval_of, period_interval
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of, row, wide
from fhir_server.search.values import prefixed, unescape

FIELD = "dat"
MILLISECOND = timedelta(milliseconds=1)
ALWAYS = datetime.min.replace(tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC, microsecond=999_000)
"""The open ends. https://hl7.org/fhir/R4/search.html#date: lower, and greater, than any actual date"""

LONG = timedelta(days=1)
"""A value that lasts longer is wide: a search for what reaches into a time need not look at all others before it."""

_UNPLUSSED = re.compile(r" (?=\d\d:\d\d\Z)")
_APPROXIMATION = 10
"""`ap` widens by a tenth of the time between the date and now. https://hl7.org/fhir/R4/search.html#prefix"""


@dataclass(frozen=True, slots=True)
class Span:
    """Closed at `low`, open at `high`."""

    low: datetime
    high: datetime


def span(interval: Interval) -> Span:
    """An interval with its open ends beyond every written date."""
    low, high = interval.low, interval.high
    return Span(
        ALWAYS if low is None else min(max(low, ALWAYS + MILLISECOND), FOREVER - 2 * MILLISECOND),
        FOREVER if high is None else min(high, FOREVER - MILLISECOND),
    )


def _one(value: str) -> list[Span]:
    return [span(interval_of(value))]


def _period(value: dict[str, Any]) -> list[Span]:
    return [span(period_interval(value))] if "start" in value or "end" in value else []


def _timing(value: dict[str, Any]) -> list[Span]:
    """The outer limits only. https://hl7.org/fhir/R4/search.html#date"""
    found = [each for event in value.get("event", ()) if event is not None for each in _one(event)]
    found += _period(value.get("repeat", {}).get("boundsPeriod", {}))
    return [Span(min(each.low for each in found), max(each.high for each in found))] if found else []


INDEX: dict[str, Callable[[Any], list[Span]]] = {
    **dict.fromkeys(("date", "dateTime", "instant"), _one),
    "Period": _period,
    "Timing": _timing,
}
"""Intervals of a value by its FHIR type."""


def rows(code: str, spans: Iterable[Span]) -> list[dict[str, Any]]:
    """The rows of a parameter."""
    return [{"p": wide(code) if each.high - each.low > LONG else code, "s": each.low, "e": each.high} for each in spans]


def long_mark(code: str) -> str:
    """The entry in `tok` of a resource whose main date is long."""
    return f"{code}~long"


def parse(text: str) -> tuple[str, Span]:
    """Prefix and interval; a plus sign that arrived as a space is read as the plus sign it was."""
    prefix, written = prefixed(unescape(text))
    try:
        return prefix, span(interval_of(_UNPLUSSED.sub("+", written)))
    except ValueError as problem:
        raise bad_value(
            f"'{text}' is not a date to search for. It must be a date, or a date with a time and a zone, perhaps after "
            "a prefix: 2024, 2024-02-29, ge2024-02-29T13:28:17Z."
        ) from problem


def widened(asked: Span, now: datetime) -> Span:
    """The interval with a tenth of its distance from now added at both ends."""
    if asked.low <= now < asked.high:
        return asked
    margin = abs(now - asked.low) / _APPROXIMATION
    return Span(max(asked.low, ALWAYS + margin) - margin, min(asked.high, FOREVER - margin) + margin)


ROW: dict[str, Callable[[datetime, datetime], Filter]] = {
    "eq": lambda low, high: {"s": {"$gte": low, "$lt": high}, "e": {"$lte": high}},
    "ne": lambda low, high: {"$or": [{"s": {"$lt": low}}, {"e": {"$gt": high}}]},
    "gt": lambda _, high: {"e": {"$gt": high}},
    "lt": lambda low, _: {"s": {"$lt": low}},
    "ge": lambda low, high: {"$or": [{"e": {"$gt": high}}, {"s": {"$gte": low}}]},
    "le": lambda low, high: {"s": {"$lt": high}, "$or": [{"s": {"$lt": low}}, {"e": {"$lte": high}}]},
    "sa": lambda _, high: {"s": {"$gte": high}},
    "eb": lambda low, _: {"s": {"$lt": low}, "e": {"$lte": low}},
    "ap": lambda low, high: {"s": {"$lt": high}, "e": {"$gt": low}},
}
"""What each prefix asks of a row, given the interval searched for. https://hl7.org/fhir/R4/search.html#prefix"""

BEFORE: dict[str, Callable[[Span], datetime]] = {
    **dict.fromkeys(("eq", "le", "ap"), lambda asked: asked.high),
    **dict.fromkeys(("lt", "eb"), lambda asked: asked.low),
}
"""For prefixes that tell when a match starts at the latest: the moment it starts before."""

SINCE: dict[str, Callable[[Span], datetime]] = {"eq": lambda asked: asked.low, "sa": lambda asked: asked.high}
"""For prefixes that tell when a match starts at the earliest: that moment."""

REACHES: dict[str, Callable[[Span], datetime]] = {
    "gt": lambda asked: _day_before(asked.high),
    "ge": lambda asked: min(asked.low, _day_before(asked.high)),
    "ap": lambda asked: _day_before(asked.low),
}
"""For prefixes that ask when a value ends: the moment from which on a match starts, unless it is long."""


def _day_before(moment: datetime) -> datetime:
    return max(moment, ALWAYS + LONG) - LONG


STAMP: dict[str, Callable[[datetime, datetime], Filter]] = {
    "eq": lambda low, high: {"$gte": low, "$lt": high},
    "ne": lambda low, high: {"$not": {"$gte": low, "$lt": high}},
    "gt": lambda _, high: {"$gte": high},
    "lt": lambda low, _: {"$lt": low},
    "ge": lambda low, _: {"$gte": low},
    "le": lambda _, high: {"$lt": high},
    "sa": lambda _, high: {"$gte": high},
    "eb": lambda low, _: {"$lt": low},
    "ap": lambda low, high: {"$gte": low, "$lt": high},
}
"""What each prefix asks of a moment that is a millisecond long: `_lastUpdated`."""


def _asked(value: str, asked: Asked) -> tuple[str, Span]:
    prefix, wanted = parse(value)
    return prefix, widened(wanted, asked.moment) if prefix == "ap" else wanted


def _any(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    wanted = [_asked(value, asked) for value in values]
    filters = [_row(parameter.code, prefix, each) for prefix, each in wanted]
    if len(wanted) > 1:
        return Term(any_of(filters))
    prefix, each = wanted[0]
    before, since, reaches = (table[prefix](each) if prefix in table else None for table in (BEFORE, SINCE, REACHES))
    return Term(filters[0], before=before, since=since, reaches=reaches)


def _row(code: str, prefix: str, wanted: Span) -> Filter:
    narrow, long = either(prefix, wanted)
    if narrow == long:
        return row(FIELD, [code, wide(code)], long)
    return any_of([row(FIELD, [code], narrow), row(FIELD, [wide(code)], long)])


def either(prefix: str, wanted: Span) -> tuple[Filter, Filter]:
    """What is asked of a row that lasts a day at most, and of a longer one."""
    asked = ROW[prefix](wanted.low, wanted.high)
    if prefix not in REACHES:
        return asked, asked
    return {**asked, "s": {**asked.get("s", {}), "$gte": REACHES[prefix](wanted)}}, asked


def conditions(text: str, asked: Asked) -> tuple[Filter, Filter]:
    """The same, of one search value."""
    return either(*_asked(text, asked))


def stamped(_: Parameter, values: Sequence[str], asked: Asked) -> Term:
    """`_lastUpdated`, which is a field of the document. https://hl7.org/fhir/R4/search.html#lastUpdated"""
    wanted = [_asked(value, asked) for value in values]
    return Term(any_of([{"lu": STAMP[prefix](each.low, each.high)} for prefix, each in wanted]))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any}
