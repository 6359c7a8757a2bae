"""The bytes that a signature covers: a resource as canonical JSON.  https://hl7.org/fhir/R4/json.html#canonical

The form of R4, in which a decimal keeps the digits it was written with; RFC 8785, which later releases name, would make
`1` of `1.00`, which FHIR says is another value (https://hl7.org/fhir/R4/datatypes.html#decimal).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource

FULL: Final = "http://hl7.org/fhir/canonicalization/json"
"""The whole resource."""
DATA: Final = f"{FULL}#data"
"""Without the narrative."""
STATIC: Final = f"{FULL}#static"
"""Without narrative and meta, so that it is the same wherever the resource moves."""
NARRATIVE: Final = f"{FULL}#narrative"
"""The narrative, and whose it is."""


def _without(*names: str) -> Callable[[Resource], Resource]:
    return lambda resource: {name: value for name, value in resource.items() if name not in names}


def _narrative(resource: Resource) -> Resource:
    return {name: resource[name] for name in ("resourceType", "id", "text") if name in resource}


PARTS: Final[Mapping[str, Callable[[Resource], Resource]]] = {
    FULL: _without(),
    DATA: _without("text"),
    STATIC: _without("text", "meta"),
    NARRATIVE: _narrative,
}
"""What of a resource each method keeps; a resource inside another is kept whole."""


def canonical(resource: Resource, method: str = FULL) -> bytes:
    """The resource by one of the methods in `PARTS`."""
    return encoded(PARTS[method](resource))


def encoded(value: Any) -> bytes:
    """Any JSON value: properties by the code points of their names, nothing between them, strings and numbers as is."""
    return json.encode(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
