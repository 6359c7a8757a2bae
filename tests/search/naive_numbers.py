"""The second opinion on numbers and quantities. https://hl7.org/fhir/R4/search.html#number"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.search.written import meant, split

Range = tuple[Any, Any]
UCUM = "http://unitsofmeasure.org"


def numbers(value: Any) -> Range:
    """From the least to the greatest number that the value stands for."""
    infinite = Decimal("Infinity")
    if not isinstance(value, dict):
        return Decimal(str(value)), Decimal(str(value))
    if "data" in value:
        limits = {"L": value.get("lowerLimit"), "U": value.get("upperLimit")}
        samples = [Decimal(str(limits.get(each, each))) for each in value["data"].split() if each != "E"]
        scaled = [Decimal(str(value["origin"]["value"])) + s * Decimal(str(value.get("factor", 1))) for s in samples]
        return min(scaled), max(scaled)
    if "low" in value or "high" in value:
        return (
            Decimal(str(value["low"]["value"])) if "low" in value else -infinite,
            Decimal(str(value["high"]["value"])) if "high" in value else infinite,
        )
    number, tiny = Decimal(str(value["value"])), Decimal("1e-12")
    return {
        None: (number, number),
        "<": (-infinite, number - tiny),
        "<=": (-infinite, number),
        ">=": (number, infinite),
        ">": (number + tiny, infinite),
    }[value.get("comparator")]


def number(value: Any, modifier: str, text: str, *_: Any) -> bool:
    return _compared(numbers(value), text, lambda number: number)


def _compared(ends: Range, text: str, scaled: Callable[[Any], Any]) -> bool:
    prefix = text[:2] if text[:2].isalpha() else "eq"
    written = text.removeprefix(prefix)
    asked = Decimal(written)
    mantissa, _, exponent = written.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = Decimal(10) ** ((int(exponent) - max(decimals, 1)) if exponent else -decimals)
    low, high = ends
    within = scaled(asked - unit / 2) <= low and high < scaled(asked + unit / 2)
    around = max(abs(asked) / 10, unit / 2)
    return {
        "eq": within,
        "ne": not within,
        "gt": high > scaled(asked),
        "lt": low < scaled(asked),
        "ge": high >= scaled(asked),
        "le": low <= scaled(asked),
        "sa": low > scaled(asked),
        "eb": high < scaled(asked),
        "ap": low <= scaled(asked + around) and high >= scaled(asked - around),
    }[prefix]


LINES: dict[str, tuple[str, str, str]] = {
    "mg": ("mass", "1/1000", "0"),
    "g": ("mass", "1", "0"),
    "kg": ("mass", "1000", "0"),
    "[lb_av]": ("mass", "453.59237", "0"),
    "mg/dL": ("mass/volume", "10", "0"),
    "mg{creat}/dL": ("mass/volume", "10", "0"),
    "mmol/L": ("amount/volume", "1", "0"),
    "mol/L": ("amount/volume", "1000", "0"),
    "mm[Hg]": ("pressure", "133.322", "0"),
    "kPa": ("pressure", "1000", "0"),
    "Cel": ("temperature", "1", "273.15"),
    "[degF]": ("temperature", "5/9", "45967/180"),
    "/min": ("frequency", "1/60", "0"),
    "Hz": ("frequency", "1", "0"),
    "10*3/uL": ("number/volume", "1000000000000", "0"),
    "10*9/L": ("number/volume", "1000000000000", "0"),
    "{score}": ("number", "1", "0"),
    "%": ("number", "1/100", "0"),
}
"""Units of UCUM by hand: the dimension, and what a value is multiplied by and what is then added."""


def _scale(code: str) -> tuple[str, Callable[[Any], Any]]:
    dimension, factor, zero = LINES[code]

    def scaled(number: Decimal) -> Any:
        return Fraction(number) * Fraction(factor) + Fraction(zero) if number.is_finite() else float(number)

    return dimension, scaled


def quantity(value: Any, modifier: str, text: str, *rest: Any) -> bool:
    written, *unit = map(meant, split(text, "|"))
    system, code = unit or ("", "")
    own = value.get("origin", value.get("low", value.get("high", value)))
    if "currency" in value:
        own = {"system": "urn:iso:std:iso:4217", "code": value["currency"]}
    if system == UCUM and code in LINES:
        if own.get("system") != UCUM or own.get("code") not in LINES:
            return False
        (asked, scaled), (found, converted) = (_scale(each) for each in (code, own["code"]))
        low, high = numbers(value)
        return asked == found and _compared((converted(low), converted(high)), written, scaled)
    fits = not system or system == own.get("system")
    named = not code or code == own.get("code") or (not system and code == own.get("unit"))
    return fits and named and number(value, modifier, written)
