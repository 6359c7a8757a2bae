"""Doses and vital signs: a measurement in words, and one that follows from two others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fhir_server.mapping.convert_measure import UCUM
from fhir_server.mapping.convert_number import decimal
from fhir_server.mapping.converter import TEXT, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.maps import ConceptMap

DOSE = re.compile(r"(\d+(?:\.\d+)?)\s*([^\d\s]+)\Z")
Object = dict[str, Any]
BMI_FACTOR = Decimal("703.0696")
"""Pounds by square inches as kilograms by square metres: 0.45359237 / 0.0254²."""
TOLERANCE = Decimal("0.5")


def dose(value: str, units: ConceptMap) -> Object | None:
    """A dose of number and unit, `10 mg`; other words say none."""
    found = DOSE.match(value)
    target = units.target(found[2]) if found else None
    if found is None or target is None or target.coding is None:
        return None
    return {"value": Decimal(found[1]), "unit": found[2], "system": UCUM, "code": target.coding["code"]}


def body_mass(value: Object, weight: Any, height: Any) -> Object:
    """A body mass index, with a warning where weight in pounds and height in inches give another."""
    measures = [_value(weight), _value(height)]
    if None in measures or not measures[1]:
        return value
    computed = measures[0] * BMI_FACTOR / (measures[1] * measures[1])
    if abs(computed - value["value"]) > TOLERANCE:
        raise Fault("IMPLAUSIBLE_VALUE", "The index is not that of the weight and the height.", kept=value)
    return value


def _value(found: Any) -> Any:
    """The number of a Quantity or of a column."""
    if isinstance(found, Mapping):
        return found["value"]
    try:
        return None if found is None else decimal(found)
    except Fault:
        return None


CONVERTERS = {
    "dose": Converter(dose, TEXT, "Quantity", ("map",)),
    "body_mass": Converter(body_mass, frozenset({"Quantity"}), "Quantity", ("column", "column"), fails=True),
}
