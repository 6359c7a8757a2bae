"""Units of UCUM brought to base units, so that values in different units of one dimension can be compared.

Arithmetic is exact up to the last step, the rounding to a double: whatever is equal on paper is equal here. An
annotation such as `{cells}` means nothing, as UCUM says. Units that UCUM calls arbitrary, and scales that are not a
line (pH, bel), convert to nothing but themselves and their multiples.
https://ucum.org/ucum
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import msgspec

SYSTEM = "http://unitsofmeasure.org"
MAX_LENGTH = 64
MAX_EXPONENT = 400
"""Beyond what a double holds: greater values are infinite, smaller ones nothing."""

_COMPONENT = re.compile(
    r"(?:(?P<symbol>10[*^]|(?:\[[^\[\]{}]+\]|[!-'*,:-Z\\^-z|~])+)(?P<exponent>[+-]?\d{1,2})?|(?P<factor>[1-9]\d{0,11}))?"
    r"(?P<note>\{[!-z|~]*\})?"
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A value in this unit is `value * factor + shift` in the base units that `dimension` names."""

    factor: Fraction
    shift: Fraction
    dimension: str

    def to_base(self, value: Decimal | int) -> float:
        """The double nearest to the value in base units."""
        exponent = Decimal(value).adjusted()
        if abs(exponent) > MAX_EXPONENT:
            value = Decimal(0) if exponent < 0 or not value else Decimal("Infinity").copy_sign(Decimal(value))
        if not math.isfinite(value):
            return float(value)
        numerator, denominator = value.as_integer_ratio()
        factor, shift = self.factor, self.shift
        numerator = (
            numerator * factor.numerator * shift.denominator + denominator * factor.denominator * shift.numerator
        )
        try:
            return numerator / (denominator * factor.denominator * shift.denominator)
        except OverflowError:
            return math.inf if numerator > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class _Product:
    """A factor and powers of base units; `shift` where it is the scale of a single unit that starts elsewhere."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...] = ()
    shift: Fraction | None = None

    def times(self, other: _Product, sign: int) -> _Product:
        """Times the other or, where the sign is negative, divided by it."""
        if self.shift is not None or other.shift is not None:
            raise ValueError("A scale with another zero is no factor.")
        return _Product(self.factor * other.factor**sign, _added(self.powers, other.powers, sign))

    def power(self, exponent: int) -> _Product:
        if self.shift is not None and exponent != 1:
            raise ValueError("A scale with another zero has no powers.")
        return _Product(self.factor**exponent, _added((), self.powers, exponent), self.shift)

    def prefixed(self, factor: Fraction) -> _Product:
        """A thousandth of a degree is counted from the same zero."""
        return _Product(self.factor * factor, self.powers, self.shift)


ONE = _Product(Fraction(1))


def _added(
    one: tuple[tuple[str, int], ...], other: tuple[tuple[str, int], ...], times: int
) -> tuple[tuple[str, int], ...]:
    powers = Counter(dict(one))
    for name, exponent in other:
        powers[name] += exponent * times
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))


@lru_cache(maxsize=8192)
def unit(code: str) -> Unit | None:
    """The unit of a case-sensitive UCUM code; None where it is not one."""
    if not code or len(code) > MAX_LENGTH:
        return None
    try:
        found, end = _term(code, 0)
    except ValueError:
        return None
    if end != len(code):
        return None
    dimension = ".".join(f"{name}{'' if exponent == 1 else exponent}" for name, exponent in found.powers)
    return Unit(found.factor, found.shift or Fraction(0), dimension or "1")


def _term(code: str, start: int) -> tuple[_Product, int]:
    """Components from left to right: `kg/m.s` is `(kg/m).s`. https://ucum.org/ucum#section-Syntax-Rules"""
    found, end = ONE, start
    sign = 1
    if code[start : start + 1] == "/":
        sign, end = -1, start + 1
    while True:
        component, end = _component(code, end)
        found = component if found is ONE and sign == 1 else found.times(component, sign)
        if code[end : end + 1] not in (".", "/"):
            return found, end
        sign = 1 if code[end] == "." else -1
        end += 1


def _component(code: str, start: int) -> tuple[_Product, int]:
    if code[start : start + 1] == "(":
        return _bracketed(code, start + 1)
    match = _COMPONENT.match(code, start)
    if match is None or match.end() == start:
        raise ValueError(f"There is no unit at {start} of {code}.")
    if match["factor"]:
        return _Product(Fraction(match["factor"])), match.end()
    if match["symbol"]:
        return _simple(match["symbol"]).power(int(match["exponent"] or 1)), match.end()
    return ONE, match.end()


def _bracketed(code: str, start: int) -> tuple[_Product, int]:
    found, end = _term(code, start)
    if code[end : end + 1] != ")":
        raise ValueError(f"A bracket is not closed at {end} of {code}.")
    note = _COMPONENT.match(code, end + 1)
    return found, note.end() if note and note["note"] and not (note["symbol"] or note["factor"]) else end + 1


@cache
def _table() -> tuple[dict[str, Fraction], dict[str, list[str]]]:
    read: dict[str, Any] = msgspec.json.decode(resources.files("capability").joinpath("units.json").read_bytes())
    return {code: Fraction(value) for code, value in read["prefixes"].items()}, read["units"]


def _simple(symbol: str) -> _Product:
    """A unit, or a metric one after a prefix: of `dar` the unit is `ar`, of `dag` it is `g`."""
    prefixes, units = _table()
    if symbol in units:
        return _atom(symbol)
    for length in (1, 2):
        prefix, rest = symbol[:length], symbol[length:]
        if prefix in prefixes and rest in units and units[rest][0]:
            return _atom(rest).prefixed(prefixes[prefix])
    raise ValueError(f"There is no unit {symbol}.")


@cache
def _atom(symbol: str) -> _Product:
    row = _table()[1][symbol]
    if len(row) == 1:
        return _Product(Fraction(1), ((symbol, 1),))
    value, of = Fraction(row[1]), _term(row[2], 0)[0]
    if len(row) == 4:
        return _Product(value * of.factor, of.powers, Fraction(row[3]) * value * of.factor)
    return of.prefixed(value)
