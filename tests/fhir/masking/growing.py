"""Resources grown from their definitions: valid, with every element that fits, and a canary in every text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from fhir_server.fhir.definitions import Element, codings, structure
from fhir_server.fhir.definitions import codes as codes_of
from fhir_server.fhir.plans import type_path
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.types import is_sound

CANARY = "CANARY"
DAY = "07-23"
"""Of every date: no copy has it."""
DEEPEST = 5

_numbers = [count(1)]


def text() -> str:
    return f"{CANARY}{next(_numbers[0])}"


PRIMITIVES: dict[str, Callable[[], Any]] = {
    "string": text,
    "markdown": text,
    "id": text,
    "uri": lambda: f"urn:{text()}",
    "url": lambda: f"https://{text()}.example",
    "canonical": lambda: f"https://{text()}.example/x|1",
    "oid": lambda: f"urn:oid:1.2.424242.{next(_numbers[0])}",
    "uuid": lambda: f"urn:uuid:424242aa-0000-0000-0000-{next(_numbers[0]):012d}",
    "xhtml": lambda: f'<div xmlns="http://www.w3.org/1999/xhtml">{text()}</div>',
    "base64Binary": lambda: "Q0FOQVJZ",
    "boolean": lambda: True,
    "integer": lambda: 7,
    "unsignedInt": lambda: 7,
    "positiveInt": lambda: 7,
    "decimal": lambda: 7,
    "code": lambda: "x",
    "date": lambda: f"2019-{DAY}",
    "dateTime": lambda: f"2019-{DAY}T10:11:12Z",
    "instant": lambda: f"2019-{DAY}T10:11:12Z",
    "time": lambda: "10:11:12",
}
MARKS = (CANARY, DAY, "Q0FOQVJZ", "424242", "10:11:12Z")
"""None of these may be left."""

PREFERRED = ("string", "CodeableConcept", "Reference", "dateTime", "Period", "Range", "Quantity", "uri", "canonical")
"""Of the types that an element may have; those of Parameters are tried all."""

UCUM = "http://unitsofmeasure.org"
UNITS = {"Age": "a", "Count": "1", "Distance": "m", "Duration": "d", "Quantity": "mg"}
"""With the unit that each must have."""

WITHOUT = {
    "DataRequirement.codeFilter": {"searchParam"},
    "DataRequirement.dateFilter": {"searchParam"},
    "Timing.repeat": {"when", "offset", "countMax", "durationMax"},
    "TriggerDefinition": {"timing"},
}
"""One of two elements that exclude each other."""

SEEDS: dict[str, Callable[[], Resource]] = {
    "Appointment": lambda: {"status": "proposed"},
    "CapabilityStatement": lambda: {"description": text(), "rest": [{"mode": "server", "documentation": text()}]},
    "Linkage": lambda: {"item": [{"type": "source", "resource": {"reference": f"Patient/{text()}"}}] * 2},
    "MolecularSequence": lambda: {"coordinateSystem": 0},
    "StructureDefinition": lambda: {
        "type": "Patient",
        "differential": {
            "element": [
                {"id": "Patient", "path": "Patient", "short": text()},
                {"id": f"Patient.{text()}:{text()}", "path": f"Patient.{text()}", "definition": text()},
            ]
        },
    },
}
"""What rules of a type ask for beyond its cardinalities."""


def primitive(element: Element, type_name: str) -> Any:
    binding = element.binding
    if type_name == "code" and binding and (allowed := codes_of(binding.value_set)):
        return min(allowed)
    return PRIMITIVES[type_name]()


def reference(element: Element) -> Resource:
    target = element.targets[0] if element.targets else "Patient"
    identifier = {"system": f"urn:{text()}", "value": text()}
    return {"reference": f"{target}/{text()}", "type": target, "identifier": identifier, "display": text()}


def bound(element: Element) -> Resource | None:
    """A concept that a required binding allows."""
    binding = element.binding
    allowed = codings(binding.value_set) if binding and binding.strength == "required" else None
    if not allowed:
        return None
    system, code = min(allowed)
    return {"system": system, "code": code, "display": text()}


def grown(element: Element, type_name: str, depth: int = 0, seen: tuple[str, ...] = ()) -> Any:
    """One value with all its children."""
    if type_name in PRIMITIVE_TYPES:
        return primitive(element, type_name)
    if type_name in UNITS:
        return {"value": 7, "unit": text(), "system": UCUM, "code": UNITS[type_name]}
    if type_name == "Reference":
        return reference(element)
    if type_name == "Resource":
        return {"resourceType": "Basic", "id": text(), "code": {"text": text()}}
    if type_name == "Extension":
        return {"url": f"urn:{text()}", "valueString": text()}
    found = bound(element) if type_name in ("Coding", "CodeableConcept") else None
    if found:
        return found if type_name == "Coding" else {"coding": [found], "text": text()}
    path = type_path(element, type_name).partition(">")[0]
    deep = depth >= DEEPEST or path in seen
    return dict(children(path, depth + 1, (*seen, path), needed=deep))


def children(path: str, depth: int, seen: tuple[str, ...], *, needed: bool) -> Iterator[tuple[str, Any]]:
    for element in structure(path.partition(".")[0]).elements[path]:
        if (needed and not element.min) or element.name in {"modifierExtension"} | WITHOUT.get(path, set()):
            continue
        name, type_name = chosen(element)
        value = grown(element, type_name, depth, seen)
        if value not in ({}, None):
            yield name, [value] if element.many else value


def chosen(element: Element) -> tuple[str, str]:
    by_type = {kind: name for name, kind in element.json_names()}
    kind = next((each for each in PREFERRED if each in by_type), next(iter(by_type)))
    return by_type[kind], kind


def resource_of(resource_type: str) -> Resource:
    """Grown element by element: one that would break a rule is tried with less, and else left out.

    The same each time, since a mark is a few characters that a pseudonym may happen to have as well.
    """
    _numbers[0] = count(1)
    found: Resource = {"resourceType": resource_type, "id": text(), **SEEDS.get(resource_type, dict)()}
    listed = [
        each for each in structure(resource_type).elements[resource_type] if each.name not in (*found, "contained")
    ]
    for element in sorted(listed, key=lambda each: -each.min):
        name, type_name = chosen(element)
        for value in lesser(element, type_name):
            trial = {**found, name: [value] if element.many else value}
            if element.min or is_sound(trial):
                found = trial
                break
    return found


def lesser(element: Element, type_name: str) -> Iterator[Any]:
    """A value with all its children, without each one of them, and with only those that it must have."""
    whole = grown(element, type_name)
    yield whole
    if isinstance(whole, dict):
        for name in whole:
            yield {each: value for each, value in whole.items() if each != name}
        yield grown(element, type_name, DEEPEST)
