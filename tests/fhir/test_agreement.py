"""The compiled rules and the FHIRPath of R4 say the same, but where an expression is not what its text says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fhir_server.fhir import json
from fhir_server.fhir.definitions import Constraint, Element, structure
from fhir_server.fhir.fhirpath import Unevaluable, holds
from fhir_server.fhir.invariants import BEYOND, predicate
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.plans import CONTAINED, constraints_of, type_path
from fhir_server.fhir.validate import check
from tests.fhir.test_wrong import TABLES, sent

EVERY = 60
LARGEST = 20_000

DIFFERENT = {
    "-0": "a name that is not there matches nothing; the rule is about names that are",
    "bdl-8": "a fullUrl that is not there is false; the rule is about one that is",
    "ctm-1": "the engine cannot fetch the member; the rule reads the type that the reference names",
    "dom-3": "`as` on several values is an error",
    "eld-19": "`matches` finds a part of the path; the rule means all of it",
    "eld-20": "`matches` finds a part of the path; the rule means all of it",
    "que-7": "`Boolean` is no type of FHIR; the rule means `boolean`",
    "rng-2": "the engine compares no quantities without a UCUM code",
}
"""Why a rule may differ from its expression."""

Judged = tuple[Constraint, Any, str, str, Any, Any]
"""A constraint, the element, where it is stated, where the element's children are, the resource, and its container."""


def judged(value: Any, path: str, resource: Any, root: Any) -> Iterator[Judged]:
    """Each rule with each element that it is about."""
    elements_path = path.partition(">")[0]
    definition = structure(elements_path.partition(".")[0])
    if definition.name == elements_path:
        yield from ((each, value, path, elements_path, resource, root) for each in definition.constraints)
    for element in definition.elements[elements_path]:
        for name, type_name in element.json_names():
            found = value.get(name)
            for each in found if isinstance(found, list) else [found]:
                if each is not None:
                    yield from of_child(element, type_name, each, resource, root)


def of_child(element: Element, type_name: str, value: Any, resource: Any, root: Any) -> Iterator[Judged]:
    if type_name == "Resource":
        around = root if element.name == CONTAINED else value
        yield from judged(value, value["resourceType"], value, around)
        return
    path = type_path(element, type_name) if isinstance(value, dict) else type_name
    for each in constraints_of(element, type_name):
        yield each, value, element.path, path.partition(">")[0], resource, root
    if isinstance(value, dict):
        yield from judged(value, path, resource, root)


def differences(resource: Any) -> Iterator[str]:
    """Keys of the rules on which the two disagree, or that the engine cannot judge."""
    for constraint, value, stated, path, around, root in judged(resource, resource["resourceType"], resource, resource):
        rule = predicate(stated, constraint.key)
        if rule is None or constraint in BEYOND.get(stated, ()):
            continue
        try:
            said: bool | None = holds(constraint.expression, value, path, around, root)
        except Unevaluable:
            said = None
        if said != bool(rule(value, root)):
            yield "-0" if constraint.key.endswith("-0") else constraint.key


def is_well_formed(resource: Any) -> bool:
    try:
        check(resource)
    except FhirError as refused:
        return refused.status != 400
    return True


def test_on_what_is_wrong(counted: Callable[[str, int], None]) -> None:
    found: set[str] = set()
    for resource in (sent(row) for table in TABLES.values() for row in table if row["status"] != 400):
        found |= set(differences(resource))
        counted("wrong resources judged by the compiled rules and by FHIRPath", 1)
    assert found == DIFFERENT.keys()


def test_on_official_examples(r4_package: Path, counted: Callable[[str, int], None]) -> None:
    files = sorted(file for file in r4_package.glob("*-*.json") if file.stat().st_size < LARGEST)
    for resource in (json.trusted(file.read_bytes()) for file in files[::EVERY]):
        if is_well_formed(resource):
            assert DIFFERENT.keys() >= set(differences(resource)), resource.get("id")
            counted("official examples judged by the compiled rules and by FHIRPath", 1)
