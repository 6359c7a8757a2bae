"""Search type quantity: rows like those of a number, with `system`, `code` and, where it differs from the code, `unit`.

Units are compared as written; no conversion takes place. A comparator makes a value a range: `<5` is everything below
5.
https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.fhir.outcome import bad_value
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of
from fhir_server.search.types import number
from fhir_server.search.types.number import Range
from fhir_server.search.values import parts

FIELD = "num"
CURRENCIES = "urn:iso:std:iso:4217"
"""https://hl7.org/fhir/R4/datatypes.html#Money"""

Measured = tuple[Range, dict[str, str]]
"""The least and the greatest value, and the unit."""

COMPARATORS: dict[str | None, Callable[[float], Range]] = {
    None: lambda value: (value, value),
    "<": lambda value: (-math.inf, number.down(value)),
    "<=": lambda value: (-math.inf, value),
    ">=": lambda value: (value, math.inf),
    ">": lambda value: (number.up(value), math.inf),
}
"""https://hl7.org/fhir/R4/valueset-quantity-comparator.html"""


def _measured(found: Range, unit: dict[str, Any]) -> Measured:
    named: dict[str, str] = {name: unit[name] for name in ("system", "code") if name in unit}
    if "unit" in unit and unit["unit"] != unit.get("code"):
        named["unit"] = unit["unit"]
    return found, named


def _quantity(value: dict[str, Any]) -> list[Measured]:
    if "value" not in value:
        return []
    return [_measured(COMPARATORS[value.get("comparator")](float(value["value"])), value)]


def _money(value: dict[str, Any]) -> list[Measured]:
    if "value" not in value:
        return []
    currency = {"system": CURRENCIES, "code": value["currency"]} if "currency" in value else {}
    return [_measured((float(value["value"]), float(value["value"])), currency)]


def _range(value: dict[str, Any]) -> list[Measured]:
    found = number.bounds(value)
    return [_measured(found, {**value.get("high", {}), **value.get("low", {})})] if found else []


def _sampled(value: dict[str, Any]) -> list[Measured]:
    """From the least to the greatest sample; `L` and `U` stand for the limits, `E` for no value at all.

    https://hl7.org/fhir/R4/datatypes.html#SampledData
    """
    limits = {"L": value.get("lowerLimit"), "U": value.get("upperLimit"), "E": None}
    named = [limits.get(sample, sample) for sample in value.get("data", "").split()]
    samples = [float(each) for each in named if each is not None]
    if not samples:
        return []
    origin, factor = float(value["origin"].get("value", 0)), float(value.get("factor", 1))
    ends = sorted((origin + min(samples) * factor, origin + max(samples) * factor))
    return [_measured((ends[0], ends[1]), value["origin"])]


INDEX: dict[str, Callable[[Any], list[Measured]]] = {
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _quantity),
    "Money": _money,
    "Range": _range,
    "SampledData": _sampled,
}
"""Measured ranges of a value by its FHIR type."""


def rows(code: str, found: Sequence[Measured]) -> list[dict[str, Any]]:
    return [{**number.row_of(code, *ends), **unit} for ends, unit in found]


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


def _any(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return Term(any_of([number.rows_like(parameter.code, *parse(value)) for value in values]))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any}
