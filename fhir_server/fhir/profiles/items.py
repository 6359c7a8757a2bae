"""The values of a resource with their type and place, found by the definitions of R4.  https://hl7.org/fhir/R4/json.html"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from fhir_server.fhir.definitions import Element, kinds, structure
from fhir_server.fhir.plans import type_path
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.resource import Resource

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Item:
    """One value; a primitive may have nothing but extensions, and then its value is None."""

    value: Any
    beside: Mapping[str, Any]
    """The extensions of a primitive, as `_name` has them."""
    type: str
    path: str
    """Where its children are defined: its type, or the element that has children of its own."""
    expression: str

    @property
    def element(self) -> Mapping[str, Any]:
        """What has the children."""
        return self.value if isinstance(self.value, dict) else self.beside


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """An element as it can stand in JSON: each property with the type it has there and where that one is defined."""

    element: Element
    forms: Mapping[str, tuple[str, str]]


def of_resource(resource: Resource, expression: str = "") -> Item:
    name = resource["resourceType"]
    return Item(resource, NOTHING, name, name, expression or name)


@cache
def children(path: str) -> Mapping[str, Child]:
    """The children that R4 defines at a path, by name without `[x]`; none for a path that it does not know."""
    name = path.partition(".")[0]
    if name not in kinds():
        return NOTHING
    listed = structure("Element" if path in PRIMITIVE_TYPES else name).elements
    found = listed.get("Element" if path in PRIMITIVE_TYPES else path, ())
    return {each.name: _child(each) for each in found}


def _child(element: Element) -> Child:
    return Child(element, {name: (kind, place(element, kind)) for name, kind in element.json_names()})


def place(element: Element, type_name: str) -> str:
    """Where the children of an element of this type are defined."""
    return type_name if type_name in PRIMITIVE_TYPES else type_path(element, type_name).partition(">")[0]


def items(parent: Item, name: str) -> list[Item]:
    """The values of a child by its name without `[x]`."""
    child = children(parent.path).get(name)
    if child is None:
        return []
    holder, found = parent.element, []
    # Of a choice of fifty types at most one is there: what is there is fewer.
    names = child.forms if len(child.forms) == 1 else {each.removeprefix("_"): None for each in holder}
    for each in names:
        form = child.forms.get(each)
        if form is not None:
            value, beside = holder.get(each), holder.get(f"_{each}")
            if value is not None or beside is not None:
                found += _values(value, beside, form, f"{parent.expression}.{name}")
    return found


def _values(value: Any, beside: Any, form: tuple[str, str], expression: str) -> list[Item]:
    if not isinstance(beside if value is None else value, list):
        return [_item(value, beside, form, expression)]
    found = []
    for index in range(len(value or beside)):
        own = value[index] if value else None
        extended = beside[index] if beside and index < len(beside) else None
        found.append(_item(own, extended, form, f"{expression}[{index}]"))
    return found


def _item(value: Any, beside: Any, form: tuple[str, str], expression: str) -> Item:
    if form[0] == "Resource" and isinstance(value, dict):
        return of_resource(value, expression)
    return Item(value, beside or NOTHING, *form, expression)
