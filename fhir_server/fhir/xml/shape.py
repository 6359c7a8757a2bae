"""What the children of an element look like in XML: element or attribute, and in which order.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from fhir_server.fhir.definitions import Element, structure
from fhir_server.fhir.plans import type_path
from fhir_server.fhir.primitives import PRIMITIVE_TYPES

FHIR = "http://hl7.org/fhir"
RESOURCE, XHTML = "Resource", "xhtml"
EXTENSIBLE = "Element"
"""What a primitive has beside its value: an id and extensions."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    """In XML and JSON alike: `valueQuantity`."""
    element: str
    """In FHIRPath: `value`."""
    type_name: str
    many: bool
    order: int
    is_attribute: bool
    is_primitive: bool
    path: str
    """Where the definitions have its own children; empty for a resource."""


@cache
def children(path: str) -> Mapping[str, Child]:
    """What may stand in the element of this path, by name."""
    definition = structure(path.partition(".")[0])
    is_resource = definition.kind == "resource" and path == definition.name
    found: dict[str, Child] = {}
    for order, each in enumerate(definition.elements[path]):
        for name, type_name in each.json_names():
            found[name] = Child(
                name,
                element=each.name,
                type_name=type_name,
                many=each.many,
                order=order,
                is_attribute=each.plain and not is_resource,
                is_primitive=type_name in PRIMITIVE_TYPES,
                path=_path(each, type_name),
            )
    return MappingProxyType(found)


def _path(element: Element, type_name: str) -> str:
    if type_name == RESOURCE:
        return ""
    return EXTENSIBLE if type_name in PRIMITIVE_TYPES else type_path(element, type_name).partition(">")[0]
