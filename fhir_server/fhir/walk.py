"""Every fault of a resource, found by walking it beside its definitions: slow, and the last word.

https://hl7.org/fhir/R4/json.html and https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from fhir_server.fhir import narrative, primitives, references
from fhir_server.fhir.definitions import Constraint, Element, Structure, codes, codings, resource_types, structure
from fhir_server.fhir.invariants import predicate
from fhir_server.fhir.messages import shortened, told
from fhir_server.fhir.outcome import Issue
from fhir_server.fhir.plans import (
    ABOUT_CONTAINED,
    CONTAINED,
    constraints_of,
    is_bound,
    standing,
    type_constraints,
    type_path,
)
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.types import MAX_CONTAINED, is_sound

BAD_REQUEST, UNPROCESSABLE = 400, 422
FEW_CODES = 20
"""So many allowed codes are listed in a message."""

Fault = tuple[Issue, int]
"""An issue and the status it calls for: 400 where the base structure is broken, 422 where a rule is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the walk is: the FHIRPath, the path of the definition, and the resource that contains it all."""

    expression: str
    path: str
    root: Resource

    def child(self, name: str, path: str = "") -> Place:
        return Place(f"{self.expression}.{name}", path, self.root)

    def item(self, index: int) -> Place:
        return Place(f"{self.expression}[{index}]", self.path, self.root)

    def fault(self, code: str, diagnostics: str, status: int = BAD_REQUEST) -> Fault:
        return Issue(code, diagnostics, (self.expression,)), status


def resource_faults(value: Any, expression: str = "", root: Resource | None = None) -> Iterator[Fault]:
    """Faults of a resource; `root` is the resource that it is contained in."""
    name = value.get("resourceType") if isinstance(value, dict) else None
    known = name if isinstance(name, str) and name in resource_types() else "Resource"
    place = Place(expression or known, known, root or value)
    if not isinstance(value, dict):
        yield place.fault("structure", f"A resource must be an object, not {kind_of(value)}.")
    elif not isinstance(name, str):
        yield place.fault("structure", "A resource must say what it is in 'resourceType'.")
    elif name not in resource_types():
        yield place.fault(
            "not-supported", f"'{shortened(name)}' is not a resource type of R4.{_meant(name, resource_types())}"
        )
    else:
        yield from element_faults(value, place)


def element_faults(value: Any, place: Place) -> Iterator[Fault]:
    """Faults of an element that has children, and of what is in it; rules are looked at once the structure is right."""
    if not isinstance(value, dict):
        yield place.fault("structure", f"'{place.expression}' must be an object, not {kind_of(value)}.")
        return
    is_broken = False
    for issue, status in _structure_faults(value, place):
        is_broken |= status == BAD_REQUEST
        yield issue, status
    if not is_broken:
        yield from _rule_faults(value, place)


def _structure_faults(value: Resource, place: Place) -> Iterator[Fault]:
    if value.keys() <= {"id", "resourceType"} and place.path not in resource_types():
        yield place.fault(
            "structure", f"ele-1: '{place.expression}' is empty; an element must have a value or children."
        )
    known = _names(place.path)
    for name in value:
        if name not in known:
            yield _unknown(name, place, known)
    for element in _elements(place.path):
        yield from _child_faults(element, value, place)


def _unknown(name: str, place: Place, known: frozenset[str]) -> Fault:
    at = place.child(name) if name.isidentifier() else place
    return at.fault(
        "structure", f"{place.path.partition('>')[0]} has no element '{shortened(name)}'.{_meant(name, known)}"
    )


def _child_faults(element: Element, parent: Resource, place: Place) -> Iterator[Fault]:
    known = _names(place.path)
    present = [
        each
        for each in element.json_names()
        if each[0] in parent or (f"_{each[0]}" in parent and f"_{each[0]}" in known)
    ]
    at = place.child(element.name)
    if len(present) > 1:
        names = " and ".join(name for name, _ in present)
        yield at.fault("structure", f"'{at.expression}' may have one value only, but there is {names}.")
    if element.min and not present:
        code = "extension" if element.path == "Extension.url" else "required"
        yield at.fault(code, f"'{at.expression}' is required.")
    for name, type_name in present:
        if element.many:
            yield from _array_faults(element, type_name, name, parent, at)
        else:
            yield from _one(element, type_name, parent.get(name, ABSENT), parent.get(f"_{name}", ABSENT), at)


class _Absent:
    """Stands for what is not there, as null may be."""


ABSENT = _Absent()


def _array_faults(element: Element, type_name: str, name: str, parent: Resource, at: Place) -> Iterator[Fault]:
    values, siblings = parent.get(name, ABSENT), parent.get(f"_{name}", ABSENT)
    stated = [each for each in (values, siblings) if each is not ABSENT]
    for each in stated:
        if not isinstance(each, list) or not each:
            found = "an empty one" if each == [] else kind_of(each)
            yield at.fault("structure", f"'{at.expression}' must be an array with at least one item, not {found}.")
            return
    if name == CONTAINED and len(values) > MAX_CONTAINED:
        yield at.fault("too-costly", f"A resource may contain at most {MAX_CONTAINED} others, not {len(values)}.")
        return
    if len({len(each) for each in stated}) > 1:
        sizes = f"{len(values)} and {len(siblings)}"
        yield at.fault("structure", f"'{name}' and '_{name}' must have equally many items, not {sizes}.")
        return
    for index in range(len(stated[0])):
        value, sibling = (ABSENT if each is ABSENT else each[index] for each in (values, siblings))
        yield from _one(element, type_name, *_without_nulls(value, sibling), at.item(index))


def _without_nulls(value: Any, sibling: Any) -> tuple[Any, Any]:
    """In two arrays side by side null means nothing here; where both are null it stays, to be refused."""
    if value is None and sibling not in (None, ABSENT):
        return ABSENT, sibling
    return value, ABSENT if sibling is None and value is not None else sibling


def _one(element: Element, type_name: str, value: Any, sibling: Any, at: Place) -> Iterator[Fault]:
    """Faults of one value of an element, and of the extensions beside it."""
    if value is None or (value is ABSENT and sibling is None):
        yield at.fault("structure", f"'{at.expression}' must not be null; leave it out where there is no value.")
        return
    if sibling is not ABSENT:
        yield from element_faults(sibling, Place(at.expression, "Element", at.root))
    if value is ABSENT:
        return
    if type_name == "Resource":
        yield from _inner_resource(element, value, at)
    elif type_name in primitives.PRIMITIVE_TYPES:
        yield from primitive_faults(element, type_name, value, at)
    else:
        yield from _complex(element, type_name, value, at)


def _inner_resource(element: Element, value: Any, at: Place) -> Iterator[Fault]:
    root = at.root if standing(element) == CONTAINED else None
    if root and isinstance(value, dict) and CONTAINED in value:
        yield at.fault("invariant", f"dom-2: '{at.expression}' is contained and must not contain resources itself.")
    elif not is_sound(value, root):
        yield from resource_faults(value, at.expression, root)


def _complex(element: Element, type_name: str, value: Any, at: Place) -> Iterator[Fault]:
    is_broken = False
    place = Place(at.expression, type_path(element, type_name), at.root)
    for issue, status in element_faults(value, place):
        is_broken |= status == BAD_REQUEST
        yield issue, status
    if not is_broken:
        yield from _broken(constraints_of(element, type_name), value, place, element.path)
        yield from _binding_faults(element, type_name, value, at)


def primitive_faults(element: Element, type_name: str, value: Any, at: Place) -> Iterator[Fault]:
    if type(value) not in primitives.JSON_KINDS[type_name]:
        expected = primitives.EXAMPLES[type_name]
        yield at.fault("structure", f"'{at.expression}' must be {expected}; it is {kind_of(value)}.")
    elif value == "":
        yield at.fault("structure", f"'{at.expression}' must not be empty; leave it out where there is no value.")
    elif type_name == "xhtml":
        if found := narrative.problem(value):
            rule = "txt-2" if found == narrative.EMPTY else "txt-1"
            yield at.fault("invalid", f"{rule}: '{at.expression}' {found}.")
    elif not primitives.is_valid(type_name, value):
        expected = primitives.EXAMPLES[type_name]
        yield at.fault("value", f"'{shortened(value)}' is not a valid {type_name}; it must be {expected}.")
    else:
        yield from _code_faults(element, type_name, value, at)
        yield from _broken(constraints_of(element, type_name), value, at, element.path)


def _code_faults(element: Element, type_name: str, value: str, at: Place) -> Iterator[Fault]:
    if type_name != "code" or element.binding is None or element.binding.strength != "required":
        return
    allowed = codes(element.binding.value_set)
    if allowed and value not in allowed:
        listing = f"'{shortened(value)}' is not a code of {element.binding.value_set}.{_allowed(value, allowed)}"
        yield at.fault("code-invalid", listing, UNPROCESSABLE)


def _binding_faults(element: Element, type_name: str, value: Resource, at: Place) -> Iterator[Fault]:
    if element.binding is None or element.binding.strength != "required" or type_name not in BOUND_CONCEPTS:
        return
    allowed = codings(element.binding.value_set)
    if allowed and not is_bound(value, allowed):
        listed = [f"{each.get('system')}|{each.get('code')}" for each in value.get("coding", [value])]
        listing = f"None of {shortened(', '.join(listed))} is in {element.binding.value_set}."
        yield at.fault("code-invalid", listing + _allowed("", frozenset(code for _, code in allowed)), UNPROCESSABLE)


BOUND_CONCEPTS = ("CodeableConcept", "Coding")


def _rule_faults(value: Resource, place: Place) -> Iterator[Fault]:
    """Broken constraints of the type, and references to what they may not be to."""
    elements_path, _, targets = place.path.partition(">")
    definition = structure(elements_path.partition(".")[0])
    if definition.name == elements_path:
        yield from _broken(type_constraints(definition), value, place, elements_path)
    if definition.name == "Reference":
        found = references.problem(value, tuple(each for each in targets.split("|") if each), place.root)
        if found:
            at = place.child("reference" if "reference" in value else "type")
            yield at.fault("value", f"'{shortened(value.get('reference', value.get('type')))}' {found}.", UNPROCESSABLE)


def _broken(constraints: Iterable[Constraint], value: Any, place: Place, path: str) -> Iterator[Fault]:
    for each in constraints:
        rule = predicate(path, each.key) if each.severity == "error" else None
        if rule and not rule(value, place.root):
            status = BAD_REQUEST if each.key.startswith(ABOUT_CONTAINED) else UNPROCESSABLE
            said = told(each, value, place.path.partition(">")[0], place.root)
            yield place.fault("invariant", said, status)


def _elements(path: str) -> tuple[Element, ...]:
    elements_path = path.partition(">")[0]
    return structure(elements_path.partition(".")[0]).elements[elements_path]


@cache
def _names(path: str) -> frozenset[str]:
    """Every JSON property that an element of this path may have."""
    definition: Structure = structure(path.partition(">")[0].partition(".")[0])
    found = {"resourceType"} if definition.kind == "resource" and path == definition.name else set()
    for element in _elements(path):
        for name, type_name in element.json_names():
            found.add(name)
            if type_name in primitives.PRIMITIVE_TYPES and not element.plain:
                found.add(f"_{name}")
    return frozenset(found)


def kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _meant(name: str, known: Iterable[str]) -> str:
    by_fold = {each.casefold(): each for each in known}
    close = get_close_matches(name[:80].casefold(), by_fold, n=1, cutoff=0.75)
    return f" Did you mean '{by_fold[close[0]]}'?" if close else ""


def _allowed(value: str, allowed: frozenset[str]) -> str:
    if len(allowed) <= FEW_CODES:
        return f" It must be one of {', '.join(sorted(allowed))}."
    return _meant(value, allowed)
