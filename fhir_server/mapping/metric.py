"""Measurements in metric units, for a tenant that wants them, with what was recorded beside them.  https://ucum.org/ucum

By exact factors, to three decimals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.fhir.resource import Resource

THOUSANDTH = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Conversion:
    """To another unit: what is taken off first, then times one number and by another."""

    code: str
    times: Decimal
    by: Decimal = Decimal(1)
    less: Decimal = Decimal(0)

    def value(self, found: Decimal) -> Decimal:
        return ((found - self.less) * self.times / self.by).quantize(THOUSANDTH)


CONVERSIONS: Mapping[str, Conversion] = {
    "[lb_av]": Conversion("kg", Decimal("0.45359237")),
    "[oz_av]": Conversion("g", Decimal("28.349523125")),
    "[in_i]": Conversion("cm", Decimal("2.54")),
    "[ft_i]": Conversion("cm", Decimal("30.48")),
    "[degF]": Conversion("Cel", Decimal(5), by=Decimal(9), less=Decimal(32)),
}


def metric(resource: Resource) -> Resource:
    """An Observation with its values converted; any other resource as it is."""
    if resource["resourceType"] != "Observation":
        return resource
    parts = [_converted(each) for each in resource.get("component", ())]
    whole = _converted(resource)
    notes = [*_recorded(resource), *(note for each in resource.get("component", ()) for note in _recorded(each))]
    if not notes:
        return resource
    return {**whole, **({"component": parts} if parts else {}), "note": [*resource.get("note", ()), *notes]}


def _converted(part: Mapping[str, Any]) -> dict[str, Any]:
    found = part.get("valueQuantity", {})
    to = CONVERSIONS.get(found.get("code"))
    if to is None:
        return dict(part)
    unit = {"value": to.value(found["value"]), "unit": to.code, "code": to.code}
    return {**part, "valueQuantity": {**found, **unit}}


def _recorded(part: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    found = part.get("valueQuantity", {})
    if found.get("code") in CONVERSIONS:
        yield {"text": f"Recorded as {found['value']} {found['unit']}."}
