"""Values beside another column, or beside today: greater, less, other, past, in front of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_number import decimal
from fhir_server.mapping.convert_time import DATES
from fhir_server.mapping.converter import ITEM, NUMBER, SAME, TEST, TEXT, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import folded


def above(value: Any, limit: Any) -> bool | None:
    """A test: the number is greater than that of another column."""
    return True if (_difference(value, limit) or 0) > 0 else None


def below(value: Any, limit: Any) -> bool | None:
    """A test: the number is less than that of another column."""
    return True if (_difference(value, limit) or 0) < 0 else None


def _difference(value: Any, limit: Any) -> Decimal | None:
    try:
        numbers = [None if each is None else decimal(each) for each in (value, limit)]
    except Fault:
        return None
    return None if numbers[0] is None or numbers[1] is None else numbers[0] - numbers[1]


def between(value: Any, low: str, high: str) -> Any:
    """A number of a scale; one that the scale does not have is left out."""
    if not Decimal(low) <= value <= Decimal(high):
        raise Fault("IMPLAUSIBLE_VALUE", "The scale has no such value.")
    return value


def differing(value: str, other: Any) -> str | None:
    """The text, where another column does not say the same."""
    return None if other is not None and folded(other) == folded(value) else value


def tense(value: str, context: Context) -> str:
    """`future` for a day to come, `past` for all others and today."""
    return "future" if value[:10] > context.day else "past"


def prefixed(value: Any, other: Any) -> str:
    """The value behind that of another column and a colon."""
    return str(value) if other is None else f"{other}:{value}"


CONVERTERS = {
    "above": Converter(above, NUMBER, TEST, ("column",)),
    "below": Converter(below, NUMBER, TEST, ("column",)),
    "between": Converter(between, frozenset({"integer", "decimal", "positiveInt"}), SAME, ("word", "word"), fails=True),
    "differing": Converter(differing, TEXT, "text", ("column",)),
    "tense": Converter(tense, DATES, "text", context=True),
    "prefixed": Converter(prefixed, ITEM, "text", ("column",)),
}
