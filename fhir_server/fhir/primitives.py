"""Primitive types: the form of their values, and dates as the intervals of time that they name.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from fhir_server.fhir.resource import Resource

YEAR = r"(?!0000)[0-9]{4}"
MONTH = r"(?:0[1-9]|1[0-2])"
LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DAY = (
    rf"(?:{YEAR}-(?:{MONTH}-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    rf"|{LEAP_YEAR}-02-29)"
)
"""A day that the calendar has: 2024-02-29 is one, 2023-02-29 is none."""
CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
"""No 24:00:00, and no leap second, which no clock of ours could give back."""
ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

PATTERNS: dict[str, str] = {
    "code": r"^[^\s]+(?:\s[^\s]+)*\Z",
    "id": r"^[A-Za-z0-9\-.]{1,64}\Z",
    "uri": r"^\S+\Z",
    "url": r"^\S+\Z",
    "canonical": r"^\S+\Z",
    "oid": r"^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+\Z",
    "uuid": r"^urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z",
    "date": rf"^(?:{DAY}|{YEAR}(?:-{MONTH})?)\Z",
    "dateTime": rf"^(?:{DAY}(?:T{CLOCK}{ZONE})?|{YEAR}(?:-{MONTH})?)\Z",
    "instant": rf"^{DAY}T{CLOCK}{ZONE}\Z",
    "time": rf"^{CLOCK}\Z",
    "base64Binary": r"^\s*(?:[0-9A-Za-z+/]{4}\s*)*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=|[0-9A-Za-z+/]{4})\s*\Z",
}
"""The text of primitive types. https://hl7.org/fhir/R4/datatypes.html gives a regular expression for each."""

MAX_STRING = 1024 * 1024
STRINGS = frozenset({"string", "markdown", "xhtml"})
"""Text of any form, as long as there is some. https://hl7.org/fhir/R4/datatypes.html#string"""

INTEGERS: dict[str, tuple[int, int]] = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
}
DECIMAL_INTEGERS = (-(2**63), 2**63 - 1)
"""What a decimal without a fraction may be."""

EXAMPLES: dict[str, str] = {
    "base64Binary": "base64 in groups of four characters, padded with '='",
    "boolean": "true or false, without quotes",
    "canonical": "a URL without spaces, such as http://example.org/fhir/ValueSet/colours|1.0",
    "code": "words separated by single spaces, none at the start or end",
    "date": "a day, month or year that exists, such as 2024-02-29, 2024-02 or 2024",
    "dateTime": "a date, or a date with time and zone, such as 2024-02-29T13:28:17-05:00",
    "decimal": "a number such as 1.50, without quotes",
    "id": "1 to 64 letters, digits, '-' or '.'",
    "instant": "a date with time and zone, such as 2024-02-29T13:28:17.239Z",
    "integer": "a whole number between -2147483648 and 2147483647, without quotes",
    "markdown": "text that is not empty",
    "oid": "an OID such as urn:oid:1.2.3.4",
    "positiveInt": "a whole number between 1 and 2147483647, without quotes",
    "string": "text that is not empty and not longer than 1 MB",
    "time": "a time such as 13:28:17",
    "unsignedInt": "a whole number between 0 and 2147483647, without quotes",
    "uri": "a URI without spaces",
    "url": "a URL without spaces",
    "uuid": "a UUID in lower case such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
    "xhtml": "XHTML that is not empty",
}
"""What a value of the type looks like, to end the sentence 'It must be …'."""
PRIMITIVE_TYPES = frozenset(EXAMPLES)


JSON_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(PRIMITIVE_TYPES, (str,)),
    **dict.fromkeys((*INTEGERS, "decimal"), (int, Decimal)),
    "boolean": (bool,),
}
"""What a value is in JSON once it is read; a boolean is no number here."""


def written(value: object) -> str:
    """A primitive as text, in a URL or an attribute: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_valid(type_name: str, value: Any) -> bool:
    """Whether a value is one of the primitive type."""
    return type(value) in JSON_KINDS[type_name] and _form(type_name)(value)


@cache
def _form(type_name: str) -> Callable[[Any], bool]:
    if type_name == "boolean":
        return lambda _: True
    if type_name == "decimal":
        low, high = DECIMAL_INTEGERS
        return lambda value: isinstance(value, Decimal) or low <= value <= high
    if type_name in INTEGERS:
        low, high = INTEGERS[type_name]
        return lambda value: isinstance(value, int) and low <= value <= high
    if type_name in STRINGS:
        return lambda value: 1 <= len(value) <= MAX_STRING
    matches = re.compile(PATTERNS[type_name]).search
    return lambda value: matches(value) is not None


MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](\.[0-9]+)?)?"
    rf"{ZONE}?\Z"
)
PARTIAL = re.compile(r"[0-9]{4}(?:-[0-9]{2}){0,2}\Z")
"""The shape only: whether the calendar has such a day is for `datetime` to say."""
MIDNIGHT = {4: "-01-01T00:00Z", 7: "-01T00:00Z", 10: "T00:00Z"}
"""What a partial date lacks of the moment at which it begins, by its length."""
MINUTES = len("2024-02-29T13:28")
DAY_LONG, MINUTE, SECOND = timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
FRACTIONS = {2: timedelta(milliseconds=100), 3: timedelta(milliseconds=10)}
"""Width of what `.5` and `.25` name; anything finer is a millisecond, which is what the store keeps."""
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
LAST_MILLISECOND = LAST.replace(microsecond=999_000)


def whole_milliseconds(moment: datetime) -> datetime:
    """As the store keeps it: nothing finer than a millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Interval(msgspec.Struct, frozen=True, gc=False):
    """The time from `low` up to, not including, `high`, in UTC to the millisecond; None is an open end."""

    low: datetime | None
    high: datetime | None


def interval_of(text: str) -> Interval:
    """The time that a date, dateTime or instant names; ValueError where it names none.

    `2024` is the whole year, `2024-02-29T13:28` the minute; without a zone it is UTC.
    https://hl7.org/fhir/R4/search.html#date
    """
    if PARTIAL.match(text):
        low = datetime.fromisoformat(text + MIDNIGHT[len(text)])
        return Interval(low, _end_of_date(low, len(text)))
    moment = MOMENT.match(text)
    if moment is None:
        raise ValueError(f"'{text}' is not a date, or a date with a time")
    return _interval_at(text, moment.group(1) or "")


def _end_of_date(low: datetime, size: int) -> datetime:
    try:
        if size == len("2024-02-29"):
            return low + DAY_LONG
        if size == len("2024-02") and low.month < 12:
            return low.replace(month=low.month + 1)
        return low.replace(year=low.year + 1, month=1)
    except (OverflowError, ValueError):
        return LAST


def _interval_at(text: str, fraction: str) -> Interval:
    low = _utc(datetime.fromisoformat(text))
    if fraction:
        low = whole_milliseconds(low)
        return Interval(low, _plus(low, FRACTIONS.get(len(fraction), MILLISECOND)))
    return Interval(low, _plus(low, SECOND if text[MINUTES : MINUTES + 1] == ":" else MINUTE))


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return FIRST if moment.year == 1 else LAST_MILLISECOND


def _plus(moment: datetime, width: timedelta) -> datetime:
    try:
        return moment + width
    except OverflowError:
        return LAST


def period_interval(period: Resource) -> Interval:
    """The time that a Period covers; an end that is not stated is open. https://hl7.org/fhir/R4/datatypes.html#Period"""
    start, end = period.get("start"), period.get("end")
    return Interval(interval_of(start).low if start else None, interval_of(end).high if end else None)
