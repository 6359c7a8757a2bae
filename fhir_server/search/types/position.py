"""Search by position: a point in `geo`, and the circle around another point.

Distances are those on a sphere of the mean radius of the Earth, which differs from WGS 84 by less than 0.6 %.
https://hl7.org/fhir/R4/location.html#positional
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fhir_server.fhir import units
from fhir_server.fhir.outcome import bad_value
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of
from fhir_server.search.types import number
from fhir_server.search.values import parts

FIELD = "geo"
EARTH = 6_371_008.8
"""Metres: the mean radius. https://iugg.org/"""

NEAR = 50_000.0
"""Metres that are near where the client does not say. The specification leaves it to the server."""

Point = dict[str, Any]


def _point(value: Any) -> list[Point]:
    """A place that is none on Earth has no entry."""
    longitude, latitude = float(value.get("longitude", math.nan)), float(value.get("latitude", math.nan))
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        return []
    return [{"type": "Point", "coordinates": [longitude, latitude]}]


INDEX: dict[str, Callable[[Any], list[Point]]] = {"BackboneElement": _point}
"""Points of a value by its FHIR type: `Location.position` is defined in place."""


def parse(text: str) -> tuple[float, float, float]:
    """Latitude, longitude and radius in metres: `latitude|longitude`, `…|distance` or `…|distance|unit`."""
    found = parts(text)
    if not 2 <= len(found) <= 4:
        raise bad_value(f"'{text}' is not written as latitude|longitude|distance|unit.")
    latitude, longitude = _degrees("latitude", found[0], 90), _degrees("longitude", found[1], 180)
    return latitude, longitude, _metres(*[*found[2:], "", ""][:2])


def _degrees(name: str, text: str, most: int) -> float:
    value = _decimal(name, text)
    if abs(value) > most:
        raise bad_value(f"The {name} is '{text}'; it lies between -{most} and {most} degrees.")
    return float(value)


def _metres(text: str, code: str) -> float:
    """https://hl7.org/fhir/R4/location.html#positional Without a unit the distance is in kilometres."""
    if not text:
        return NEAR
    unit, distance = units.unit(code or "km"), _decimal("distance", text)
    if unit is None or unit.dimension != "m":
        raise bad_value(f"'{code}' is not a UCUM unit of length such as km, m, [mi_us] or [mi_i].")
    if distance < 0:
        raise bad_value(f"The distance is '{text}'; it cannot be less than 0.")
    return unit.to_base(distance)


def _decimal(name: str, text: str) -> Decimal:
    found = number.parse(text)
    if text.startswith(found.prefix):
        raise bad_value(f"The {name} is '{text}'; it has no prefix.")
    return found.value


def _near(_: Parameter, values: Sequence[str], __: Asked) -> Term:
    return Term(any_of([_within(*parse(value)) for value in values]))


def _within(latitude: float, longitude: float, metres: float) -> Filter:
    return {FIELD: {"$geoWithin": {"$centerSphere": [[longitude, latitude], min(metres / EARTH, math.pi)]}}}


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _near}


def within(point: Any, circle: Mapping[str, Any]) -> bool:
    """What `$geoWithin` with `$centerSphere` decides, in memory.

    https://www.mongodb.com/docs/manual/reference/operator/query/centerSphere/
    """
    centre, radius = circle["$centerSphere"]
    return isinstance(point, Mapping) and bool(distance(point["coordinates"], centre) <= radius)


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The angle between two points, by the haversine formula."""
    (x, y), (u, v) = ((math.radians(each) for each in point) for point in (one, other))
    half = math.sin((v - y) / 2) ** 2 + math.cos(y) * math.cos(v) * math.sin((u - x) / 2) ** 2
    return 2 * math.asin(math.sqrt(min(half, 1.0)))
