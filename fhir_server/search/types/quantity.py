"""Search type quantity: rows like those of a number, with `system`, `code` and, where it differs from the code, `unit`.

What has a unit of UCUM has a second row, under the code of the parameter with `=` and the dimension: its value in base
units. By these a search with such a unit finds every other unit of the dimension. All else is compared as written.
A comparator makes a value a range: `<5` is everything below 5.
https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_server.fhir import units
from fhir_server.fhir.outcome import bad_value
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of
from fhir_server.search.types import number
from fhir_server.search.types.number import Range
from fhir_server.search.values import parts

FIELD = "num"
CURRENCIES = "urn:iso:std:iso:4217"
"""https://hl7.org/fhir/R4/datatypes.html#Money"""


class Measured(NamedTuple):
    """The least and the greatest value, the unit, and the same ends in base units with their dimension."""

    ends: Range
    unit: dict[str, str]
    dimension: str = ""
    base: Range = (0.0, 0.0)


COMPARATORS: dict[str | None, Callable[[float], Range]] = {
    None: lambda value: (value, value),
    "<": lambda value: (-math.inf, number.down(value)),
    "<=": lambda value: (-math.inf, value),
    ">=": lambda value: (value, math.inf),
    ">": lambda value: (number.up(value), math.inf),
}
"""https://hl7.org/fhir/R4/valueset-quantity-comparator.html"""


def _exact(value: Any) -> Decimal:
    """As written: parsed JSON has decimals and whole numbers already."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _named(unit: dict[str, Any]) -> dict[str, str]:
    named: dict[str, str] = {name: unit[name] for name in ("system", "code") if name in unit}
    if "unit" in unit and unit["unit"] != unit.get("code"):
        named["unit"] = unit["unit"]
    return named


def _unit(value: dict[str, Any]) -> units.Unit | None:
    return units.unit(value.get("code", "")) if value.get("system") == units.SYSTEM else None


def _quantity(value: dict[str, Any]) -> list[Measured]:
    if "value" not in value:
        return []
    return [_measured(value["value"], *[value.get(name) for name in ("comparator", "system", "code", "unit")])]


@lru_cache(maxsize=64)
def _measured(value: Any, comparator: str | None, *unit: str | None) -> Measured:
    """Several parameters and composites look at the same value one after the other; equal numbers are the same here."""
    found, ends = _exact(value), COMPARATORS[comparator]
    stated = {name: each for name, each in zip(("system", "code", "unit"), unit, strict=True) if each is not None}
    converted = _unit(stated)
    if converted is None:
        return Measured(ends(float(found)), _named(stated))
    return Measured(ends(float(found)), _named(stated), converted.dimension, ends(converted.to_base(found)))


def _money(value: dict[str, Any]) -> list[Measured]:
    if "value" not in value:
        return []
    currency = {"system": CURRENCIES, "code": value["currency"]} if "currency" in value else {}
    return [Measured((float(value["value"]), float(value["value"])), currency)]


def _range(value: dict[str, Any]) -> list[Measured]:
    """Its ends are converted each from its own unit, where they are of one dimension."""
    found = number.bounds(value)
    if not found:
        return []
    named = _named({**value.get("high", {}), **value.get("low", {})})
    low, high = (_end(value.get(name, {}), limit) for name, limit in (("low", -math.inf), ("high", math.inf)))
    dimensions = {dimension for dimension, _ in (low, high) if dimension is not None}
    if len(dimensions) != 1 or "" in dimensions:
        return [Measured(found, named)]
    return [Measured(found, named, dimensions.pop(), (low[1], high[1]))]


def _end(value: dict[str, Any], limit: float) -> tuple[str | None, float]:
    """The dimension and the value in base units: none where the end is open, an empty one where it has none."""
    if "value" not in value:
        return None, limit
    unit = _unit(value)
    return (unit.dimension, unit.to_base(_exact(value["value"]))) if unit else ("", limit)


def _sampled(value: dict[str, Any]) -> list[Measured]:
    """From the least to the greatest sample; `L` and `U` stand for the limits, `E` for no value at all.

    https://hl7.org/fhir/R4/datatypes.html#SampledData
    """
    limits = {"L": value.get("lowerLimit"), "U": value.get("upperLimit"), "E": None}
    named = [limits.get(sample, sample) for sample in value.get("data", "").split()]
    samples = [_exact(each) for each in named if each is not None]
    if not samples:
        return []
    origin, factor = value["origin"], _exact(value.get("factor", 1))
    zero = _exact(origin.get("value", 0))
    low, high = sorted((zero + min(samples) * factor, zero + max(samples) * factor))
    unit = _unit(origin)
    ends = float(low), float(high)
    if unit is None:
        return [Measured(ends, _named(origin))]
    return [Measured(ends, _named(origin), unit.dimension, (unit.to_base(low), unit.to_base(high)))]


INDEX: dict[str, Callable[[Any], list[Measured]]] = {
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _quantity),
    "Money": _money,
    "Range": _range,
    "SampledData": _sampled,
}
"""Measured ranges of a value by its FHIR type."""


def rows(code: str, found: Sequence[Measured]) -> list[dict[str, Any]]:
    written = [{**number.row_of(code, *each.ends), **each.unit} for each in found]
    return written + [number.row_of(in_base(code, each.dimension), *each.base) for each in found if each.dimension]


def in_base(code: str, dimension: str) -> str:
    """The name of the rows of a parameter whose values are in base units of this dimension."""
    return f"{code}={dimension}"


def parse(text: str) -> tuple[number.Number, Filter]:
    """The number, and what is asked of the unit: `number`, `number|system|code` or `number||code`."""
    found = parts(text)
    if len(found) not in (1, 3):
        raise bad_value(f"The quantity '{text}' is not written as number, number|system|code or number||code.")
    if len(found) == 1:
        return number.parse(text), {}
    _, system, code = found
    if system:
        return number.parse(found[0]), {"system": system, **({"code": code} if code else {})}
    return number.parse(found[0]), {"$or": [{"code": code}, {"unit": code}]} if code else {}


def asked(text: str) -> tuple[number.Number, Filter, str]:
    """The number, what is asked of the unit, and what follows the code in the name of the rows that are to be asked."""
    found, named = parse(text)
    unit = _unit(named)
    return (replace(found, unit=unit), {}, in_base("", unit.dimension)) if unit else (found, named, "")


def _asked(code: str, text: str) -> Filter:
    found, named, suffix = asked(text)
    return number.rows_like(f"{code}{suffix}", found, named)


def _any(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return Term(any_of([_asked(parameter.code, value) for value in values]))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any}
