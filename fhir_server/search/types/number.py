"""Search type number: rows `{p, v}` in `num`, and `{p, v, hi}` for a range from `v` to `hi`, both included.

`p` is the code of the parameter, with a `~` where the row is a range.

Numbers are kept as doubles, which hold every decimal of up to 15 digits apart and half the bytes of a Decimal128;
decimals with more digits than that are compared by their first 15 to 17. An end that is not included is the next
double.
https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.units import Unit
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of, row, wide
from fhir_server.search.values import prefixed, unescape

FIELD = "num"
MAX_EXPONENT = 300
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?\Z")
_UNPLUSSED = re.compile(r"(?<=[eE]) (?=\d)")
_TENTH = Decimal("0.1")

Range = tuple[float, float]
WHOLE = frozenset({"integer", "positiveInt", "unsignedInt"})


def down(value: float) -> float:
    """The next double below: the last value that is less."""
    return math.nextafter(value, -math.inf)


def up(value: float) -> float:
    return math.nextafter(value, math.inf)


def _one(value: Any) -> list[Range]:
    number = float(value)
    return [(number, number)]


def bounds(value: dict[str, Any]) -> Range | None:
    """A Range from its low to its high; an end that is not stated is open. https://hl7.org/fhir/R4/datatypes.html#Range"""
    low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
    if low is None and high is None:
        return None
    return (-math.inf if low is None else float(low), math.inf if high is None else float(high))


def _range(value: dict[str, Any]) -> list[Range]:
    found = bounds(value)
    return [found] if found else []


INDEX: dict[str, Callable[[Any], list[Range]]] = {
    **dict.fromkeys(("decimal", *WHOLE), _one),
    "Range": _range,
}
"""Ranges of a value by its FHIR type."""


def rows(code: str, ranges: Sequence[Range]) -> list[dict[str, Any]]:
    return [row_of(code, *each) for each in ranges]


def row_of(code: str, low: float, high: float) -> dict[str, Any]:
    return {"p": code, "v": low} if low == high else {"p": wide(code), "v": low, "hi": high}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written, and half the width of what it may stand for; compared in base units if it has a unit."""

    prefix: str
    value: Decimal
    margin: Decimal
    unit: Unit | None = None

    @property
    def exact(self) -> float:
        return self._compared(self.value)

    @property
    def low(self) -> float:
        return self._compared(self.value - self.margin)

    @property
    def high(self) -> float:
        return self._compared(self.value + self.margin)

    @property
    def around(self) -> tuple[float, float]:
        """A tenth more and less. https://hl7.org/fhir/R4/search.html#prefix"""
        margin = max(abs(self.value) * _TENTH, self.margin)
        return self._compared(self.value - margin), self._compared(self.value + margin)

    def _compared(self, value: Decimal) -> float:
        return self.unit.to_base(value) if self.unit else float(value)


def parse(text: str) -> Number:
    prefix, written = prefixed(_UNPLUSSED.sub("+", unescape(text)))
    if not _NUMBER.match(written) or abs((value := Decimal(written)).adjusted()) > MAX_EXPONENT:
        raise bad_value(
            f"'{text}' is not a number to search for. It must be a decimal of at most 1e{MAX_EXPONENT}, "
            "perhaps after a prefix: 5.4, gt100, 1e-3."
        )
    return Number(prefix, value, _margin(value, written))


def _margin(value: Decimal, written: str) -> Decimal:
    """Half a unit of the last digit written: 100 is [99.5, 100.5), 100.00 is [99.995, 100.005).

    Written with an exponent, one decimal is taken as meant: 1e2 is [95, 105). https://hl7.org/fhir/R4/search.html#number
    """
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "the pattern lets neither NaN nor infinity through"
    if "e" in written.lower() and "." not in written:
        exponent -= 1
    return Decimal(5).scaleb(exponent - 1)


POINT: dict[str, Callable[[Number], Filter]] = {
    "eq": lambda asked: {"v": {"$gte": asked.low, "$lt": asked.high}},
    "ne": lambda asked: {"$or": [{"v": {"$lt": asked.low}}, {"v": {"$gte": asked.high}}]},
    "gt": lambda asked: {"v": {"$gt": asked.exact}},
    "lt": lambda asked: {"v": {"$lt": asked.exact}},
    "ge": lambda asked: {"v": {"$gte": asked.exact}},
    "le": lambda asked: {"v": {"$lte": asked.exact}},
    "sa": lambda asked: {"v": {"$gt": asked.exact}},
    "eb": lambda asked: {"v": {"$lt": asked.exact}},
    "ap": lambda asked: {"v": {"$gte": asked.around[0], "$lte": asked.around[1]}},
}
"""What each prefix asks of a value; only `eq` and `ne` regard the precision. https://hl7.org/fhir/R4/search.html#number"""

RANGE: dict[str, Callable[[Number], Filter]] = {
    "eq": lambda asked: {"v": {"$gte": asked.low, "$lt": asked.high}, "hi": {"$lt": asked.high}},
    "ne": lambda asked: {"$or": [{"v": {"$lt": asked.low}}, {"hi": {"$gte": asked.high}}]},
    "gt": lambda asked: {"hi": {"$gt": asked.exact}},
    "lt": lambda asked: {"v": {"$lt": asked.exact}},
    "ge": lambda asked: {"hi": {"$gte": asked.exact}},
    "le": lambda asked: {"v": {"$lte": asked.exact}},
    "sa": lambda asked: {"v": {"$gt": asked.exact}},
    "eb": lambda asked: {"v": {"$lt": asked.exact}, "hi": {"$lt": asked.exact}},
    "ap": lambda asked: {"v": {"$lte": asked.around[1]}, "hi": {"$gte": asked.around[0]}},
}
"""What each prefix asks of a range. https://hl7.org/fhir/R4/search.html#prefix"""


def rows_like(code: str, asked: Number, also: Filter) -> Filter:
    """Documents with a value or a range as asked, and with whatever else a row must have."""
    point, extent = either(asked, also)
    return any_of([row(FIELD, [code], point), row(FIELD, [wide(code)], extent)])


def either(asked: Number, also: Filter) -> tuple[Filter, Filter]:
    """What is asked of a row that is one number, and of one that is a range."""
    return both(POINT[asked.prefix](asked), also), both(RANGE[asked.prefix](asked), also)


def both(one: Filter, other: Filter) -> Filter:
    return {"$and": [one, other]} if one.keys() & other.keys() else {**one, **other}


def _any(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return Term(any_of([rows_like(parameter.code, parse(value), {}) for value in values]))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any}
