"""What is right and could be better: rules stated as warnings, codes outside of recommended value sets, extensions.

None of it refuses a write; `$validate` tells it.  https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_server.fhir.definitions import Constraint, Element, codings, structure
from fhir_server.fhir.invariants import predicate
from fhir_server.fhir.messages import shortened, told
from fhir_server.fhir.outcome import Issue
from fhir_server.fhir.plans import CONTAINED, is_bound, type_constraints, type_path
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.walk import Place

WARNING, INFORMATION = "warning", "information"
SEVERITY: Final = {"extensible": WARNING, "preferred": INFORMATION}
"""Of a code outside of the value set, by the strength of the binding; `example` says nothing."""

IDENTIFIED: Final = ("document", "message", "collection")
"""Bundles whose entries need a fullUrl. https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl"""


LONG: Final = 200


def advice(resource: Resource) -> list[Issue]:
    """For a resource without faults; each extension is named once."""
    found = list(_of_resource(resource, Place(resource["resourceType"], resource["resourceType"], resource)))
    extensions = {each.diagnostics: each for each in reversed(found) if each.code == "extension"}
    return [*(each for each in found if each.code != "extension"), *reversed(extensions.values())]


def _of_resource(resource: Resource, place: Place) -> Iterator[Issue]:
    is_contained = place.root is not resource
    for each in type_constraints(structure(resource["resourceType"])):
        if not (is_contained and each.key == "dom-6"):
            yield from _broken(each, resource, place)
    if resource.get("type") in IDENTIFIED and resource["resourceType"] == "Bundle":
        yield from _unidentified(resource, place)
    yield from _children(resource, place)


def _broken(constraint: Constraint, value: Any, place: Place, path: str = "") -> Iterator[Issue]:
    rule = predicate(path or place.path, constraint.key) if constraint.severity == WARNING else None
    if rule and not rule(value, place.root):
        said = told(constraint, value, place.path, place.root)
        yield Issue("invariant", said, (place.expression,), WARNING)


def _unidentified(bundle: Resource, place: Place) -> Iterator[Issue]:
    for index, entry in enumerate(bundle.get("entry", ())):
        if "fullUrl" not in entry and "resource" in entry:
            said = (
                f"An entry of a {bundle['type']} should have a fullUrl: a URL that ends with type and id, or urn:uuid:…"
            )
            yield Issue("required", said + ".", (f"{place.expression}.entry[{index}].fullUrl",), WARNING)


def _children(value: Any, place: Place) -> Iterator[Issue]:
    path = place.path
    for element in structure(path.partition(".")[0]).elements[path]:
        for name, type_name in element.json_names():
            if name in value:
                at = Place(f"{place.expression}.{element.name}", path, place.root)
                yield from _values(element, type_name, value[name], at)
            for index, beside in _beside(element, type_name, value.get(f"_{name}")):
                stands = f"{place.expression}.{element.name}{index}"
                yield from _children(beside, Place(stands, "Element", place.root))


def _beside(element: Element, type_name: str, found: Any) -> Iterator[tuple[str, Any]]:
    """What stands beside primitive values, each with its index."""
    if found is not None and type_name in PRIMITIVE_TYPES:
        for index, each in enumerate(found if element.many else [found]):
            if each is not None:
                yield f"[{index}]" if element.many else "", each


def _values(element: Element, type_name: str, found: Any, at: Place) -> Iterator[Issue]:
    for index, value in enumerate(found if element.many else [found]):
        if value is not None:
            yield from _one(element, type_name, value, at.item(index) if element.many else at)


def _one(element: Element, type_name: str, value: Any, at: Place) -> Iterator[Issue]:
    yield from _outside(element, type_name, value, at)
    if type_name == "Resource":
        root = at.root if element.name == CONTAINED else value
        yield from _of_resource(value, Place(at.expression, value["resourceType"], root))
    elif type_name not in PRIMITIVE_TYPES:
        place = Place(at.expression, type_path(element, type_name).partition(">")[0], at.root)
        yield from _of_element(element, type_name, value, place)


def _of_element(element: Element, type_name: str, value: Any, place: Place) -> Iterator[Issue]:
    for each in element.constraints:
        yield from _broken(each, value, place, element.path)
    if type_name == "Extension":
        yield _unknown(value, element.modifier, place)
    elif place.path == type_name:
        for each in structure(type_name).constraints:
            yield from _broken(each, value, place)
    yield from _children(value, place)


def _unknown(extension: Any, is_modifier: bool, place: Place) -> Issue:
    url = shortened(extension["url"], LONG)
    if is_modifier:
        said = f"The modifier extension '{url}' is not known here: who does not know it must not use what it stands in."
        return Issue("extension", said, (place.expression,), WARNING)
    said = f"The extension '{url}' is not known here: only its form was checked."
    return Issue("extension", said, (place.expression,), INFORMATION)


def _outside(element: Element, type_name: str, value: Any, at: Place) -> Iterator[Issue]:
    """A code that is not in a value set from which it should come. Text alone is no code."""
    severity = SEVERITY.get(element.binding.strength) if element.binding else None
    allowed = codings(element.binding.value_set) if element.binding and severity else None
    if not allowed or severity is None or element.binding is None:
        return
    coded = _coded(type_name, value)
    if coded and not any(is_bound(each, allowed) if "system" in each else _is_code(each, allowed) for each in coded):
        listed = ", ".join(f"{each.get('system', '')}|{each.get('code')}".lstrip("|") for each in coded)
        strength = f"to which the binding is {element.binding.strength}"
        said = f"{shortened(listed, LONG)} is not in {element.binding.value_set}, {strength}."
        yield Issue("code-invalid", said, (at.expression,), severity)


def _coded(type_name: str, value: Any) -> list[Any]:
    """The codings of a value that has any."""
    if type_name == "code":
        return [{"code": value}]
    if type_name == "Coding":
        return [value] if "code" in value else []
    if type_name == "CodeableConcept":
        return [each for each in value.get("coding", ()) if "code" in each]
    return []


def _is_code(coding: Any, allowed: frozenset[tuple[str, str]]) -> bool:
    return any(coding["code"] == code for _, code in allowed)
