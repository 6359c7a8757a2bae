"""Measurements, in the unit in which they were taken, named in UCUM.  https://hl7.org/fhir/R4/datatypes.html#Quantity"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fhir_server.fhir.units import unit as known_unit
from fhir_server.mapping.convert_number import decimal
from fhir_server.mapping.converter import NUMBER, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.maps import ConceptMap

UCUM = "http://unitsofmeasure.org"
WRITTEN: Mapping[str, str] = {
    "[lb_av]": "lb",
    "[in_i]": "in",
    "[degF]": "degF",
    "mm[Hg]": "mmHg",
    "/min": "/min",
    "{score}": "score",
    "a": "years",
    "mo": "months",
    "d": "days",
    "h": "hours",
    "min": "minutes",
}
"""Units as people write them, where UCUM does not."""
FAR_OUT = 10
"""A value this many times beyond a limit is a slip of the pen, and is left out."""


def quantity(value: Any, unit: str, low: str | None = None, high: str | None = None) -> dict[str, Any] | None:
    """The limits say what is plausible: beyond them the value stays with a warning, far beyond it is left out."""
    found = decimal(value)
    if found is None:
        return None
    measured = {"value": found, "unit": WRITTEN.get(unit, unit), "system": UCUM, "code": unit}
    if (low is not None and found < Decimal(low)) or (high is not None and found > Decimal(high)):
        is_slip = found <= 0 or found * FAR_OUT < Decimal(low or 0) or found > Decimal(high or found) * FAR_OUT
        kept = None if is_slip else measured
        raise Fault("IMPLAUSIBLE_VALUE", "The value is not plausible for this measurement.", kept=kept)
    return measured


def quantity_in(value: Any, unit: Any, units: ConceptMap) -> dict[str, Any] | None:
    """The unit is text of another column; one that neither the map nor UCUM knows stays as words, without a code."""
    found = decimal(value)
    if found is None or unit is None:
        return None if found is None else {"value": found}
    target = units.target(unit)
    code = target.coding["code"] if target and target.coding else str(unit)
    if not (target and target.coding) and known_unit(code) is None:
        raise Fault("UNIT_UNMAPPED", "The unit is not known.", kept={"value": found, "unit": str(unit)})
    return {"value": found, "unit": str(unit), "system": UCUM, "code": code}


LIMITED = ("word", "word?", "word?")
CONVERTERS = {
    "qty": Converter(quantity, NUMBER, "Quantity", LIMITED, fails=True, repeats=True),
    "qty_in": Converter(quantity_in, NUMBER, "Quantity", ("column", "map"), fails=True),
    "age": Converter(quantity, NUMBER, "Age", LIMITED, fails=True, repeats=True),
    "duration": Converter(quantity, NUMBER, "Duration", LIMITED, fails=True, repeats=True),
}
