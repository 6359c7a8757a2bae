"""Definitions in memory, and a check that is made until it lacks nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.fhir.profiles import validation
from fhir_server.fhir.profiles.checking import Check
from fhir_server.fhir.profiles.library import Library, Wanted
from fhir_server.fhir.resource import Resource

VALUE_SET = {
    "resourceType": "ValueSet",
    "url": "urn:vs",
    "compose": {"include": [{"system": "urn:lang", "concept": [{"code": "de"}, {"code": "fr"}]}]},
}
NAMED = {
    "resourceType": "StructureDefinition",
    "url": "urn:named",
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "differential": {"element": [{"path": "Patient.name", "min": 1}]},
}


def defined(type_name: str, elements: list[Any], base: str | None = None, **more: Any) -> Resource:
    return {
        "resourceType": "StructureDefinition",
        "url": "urn:profile",
        "version": "1.0",
        "type": type_name,
        "baseDefinition": base or f"http://hl7.org/fhir/StructureDefinition/{type_name}",
        "differential": {"element": elements},
        **more,
    }


def shelf(*definitions: Resource) -> dict[Wanted, Resource]:
    every = (VALUE_SET, NAMED, *definitions)
    found = {(each["resourceType"], each["url"]): each for each in every}
    return found | {
        (kind, f"{url}|{each['version']}"): each for (kind, url), each in found.items() if "version" in each
    }


def check(
    library: Library,
    known: Mapping[Wanted, Resource],
    resource: Resource,
    asked: Iterable[str] = (),
    targets: Mapping[str, Resource | None] = {},
) -> Check:
    while True:
        found = validation.check(library, resource, list(asked), targets)
        if not library.wanted:
            return found
        library.add({each: known.get(each) for each in set(library.wanted)})


def faults(found: Check) -> list[str]:
    return [f"{each.code} {each.expression}" for each in found.findings.faults.values() if each.severity == "error"]
