"""Copies that identify nobody, and are valid."""

from __future__ import annotations

import json as standard
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from fhir_server.fhir import json
from fhir_server.fhir.definitions import resource_types, structure
from fhir_server.fhir.masking import masking
from fhir_server.fhir.masking.actions import ON_COMPLEX, ON_PRIMITIVES, About, Style
from fhir_server.fhir.masking.masking import LABEL, masked
from fhir_server.fhir.masking.project import Project
from fhir_server.fhir.masking.rules import WALK, rules
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.validate import check
from tests.fhir.masking.growing import CANARY, MARKS, grown, resource_of
from tests.fhir.test_corpus import REFUSED

PROJECT = Project(b"a secret of thirty-two bytes or so")
YEAR = 2026
CASES = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))
COMPLEX = ("remove", "drop", "extension", "resource", WALK, *ON_COMPLEX)
SAMPLED = 80
"""Of so many official examples one is tried."""


def text_of(resource: Resource) -> str:
    return json.encode(resource).decode()


def at(resource: Any, path: list[Any]) -> Any:
    for step in path:
        resource = resource[step]
    return resource


@pytest.mark.parametrize("case", [pytest.param(case, id=case["title"]) for case in CASES])
def test_what_becomes_of_an_element(case: dict[str, Any]) -> None:
    resource = json.parse(standard.dumps(case["resource"]).encode())
    check(resource)
    copy = masked(resource, PROJECT, YEAR)
    found = at(copy, case.get("path", []))
    if "becomes" in case:
        assert found == json.parse(standard.dumps({"x": case["becomes"]}).encode())["x"]
    if "becomes_only" in case:
        assert list(copy) == case["becomes_only"]
    for name, value in case.get("has", {}).items():
        assert found[name] == json.parse(standard.dumps({"x": value}).encode())["x"]
    assert not [each for each in case.get("lacks", ()) if each in copy]
    assert not [each for each in case.get("gone", ()) if each in text_of(copy)]
    assert copy["id"] != resource["id"]
    assert copy["meta"]["security"][-1] == LABEL


@pytest.mark.parametrize("resource_type", sorted(resource_types()))
def test_no_canary_survives_in_any_element_of_any_type(resource_type: str, counted: Callable[[str, int], None]) -> None:
    resource = resource_of(resource_type)
    check(resource)
    canaries = text_of(resource).count(CANARY)
    assert canaries > 0
    copy = masked(resource, PROJECT, YEAR)
    check(copy)
    for style in get_args(Style):
        whole = masking._resource(resource, About(PROJECT, YEAR, style, resource_type, ""))
        for written in (text_of(copy), text_of(whole)):
            assert not [mark for mark in MARKS if mark in written]
    counted("canaries in resources of all types, none of them in the copies", canaries)


def test_no_canary_survives_in_a_value_of_any_type() -> None:
    """A parameter may be of every type there is."""
    element = next(each for each in structure("Parameters").elements["Parameters.parameter"] if each.choice)
    parameters = [{"name": CANARY, name: grown(element, kind)} for name, kind in element.json_names() if kind != "Meta"]
    inner = [{"name": CANARY, "resource": resource_of("Patient")}, {"name": CANARY, "part": parameters[:3]}]
    resource = {"resourceType": "Parameters", "id": "x", "parameter": parameters + inner}
    written = text_of(masked(resource, PROJECT, YEAR))
    assert not [mark for mark in MARKS if mark in written]
    assert all(f'"{name}"' in written for name in ("valueCode", "valueDate", "valueQuantity", "valueReference"))


def test_what_is_contained_is_masked_and_still_found() -> None:
    contained = {"resourceType": "Organization", "id": "org", "name": CANARY}
    reference = {"reference": "#org", "display": CANARY}
    resource = {"resourceType": "Patient", "id": "p1", "contained": [contained], "managingOrganization": reference}
    copy = masked(resource, PROJECT, YEAR)
    check(copy)
    assert copy["managingOrganization"] == {"reference": f"#{copy['contained'][0]['id']}"}
    assert CANARY not in text_of(copy)


def test_ids_and_references_stay_together_in_a_project_and_only_there() -> None:
    patient = {"resourceType": "Patient", "id": "p1"}
    subject = {"subject": {"reference": "Patient/p1"}}
    about = {
        "resourceType": "Observation",
        "id": "p1",
        "status": "final",
        "code": {"coding": [{"code": "x"}]},
        **subject,
    }
    one, two = (masked(each, PROJECT, YEAR) for each in (patient, about))
    assert two["subject"]["reference"] == f"Patient/{one['id']}"
    assert one["id"] != two["id"], "ids of two types say nothing of each other"
    assert masked(patient, PROJECT, YEAR) == one
    assert masked(patient, replace(PROJECT, secret=b"another secret of the same length."), YEAR)["id"] != one["id"]


def test_a_bundle_holds_together() -> None:
    patient = {"resourceType": "Patient", "id": "p1"}
    observation = {"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "x"}]}}
    urn = "urn:uuid:7f6b2b1e-4b0e-4a5c-9d57-3c9f4f1f2a01"
    entries = [
        {"fullUrl": "http://example.org/fhir/Patient/p1", "resource": patient},
        {"fullUrl": urn, "resource": {**observation, "subject": {"reference": "http://example.org/fhir/Patient/p1"}}},
        {"fullUrl": f"{urn[:-1]}2", "resource": {**observation, "hasMember": [{"reference": urn}]}},
    ]
    copy = masked({"resourceType": "Bundle", "id": "b", "type": "collection", "entry": entries}, PROJECT, YEAR)
    first, second, third = copy["entry"]
    assert first["fullUrl"].endswith(first["resource"]["id"])
    assert second["resource"]["subject"]["reference"] == first["fullUrl"]
    assert third["resource"]["hasMember"] == [{"reference": second["fullUrl"]}]


def test_a_secret_is_long_and_never_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Project(b"short")
    assert "secret" not in repr(PROJECT)
    assert PROJECT.fingerprint != Project(b"another secret of the same length.").fingerprint


def test_the_rules_name_what_there_is() -> None:
    """Every primitive type has a rule, every rule a function, every element a place in R4."""
    found = rules()
    assert set(found.types) >= PRIMITIVE_TYPES
    for name, rule in found.types.items():
        assert rule in (ON_PRIMITIVES if name in PRIMITIVE_TYPES else COMPLEX), name
    for path in found.elements:
        parent, _, name = path.rpartition(".")
        if parent != "*":
            assert name in {each.name for each in structure(parent.partition(".")[0]).elements[parent]}, path
    assert len(found.restricted_zips) == 17


def test_what_is_no_resource_of_r4_leaks_nothing() -> None:
    """As it may lie in a store from before it was checked."""
    odd = {"resourceType": "Patient", "id": "p1", "fhir_comments": [CANARY], "extension": [{"valueString": CANARY}]}
    assert CANARY not in text_of(masked(odd, PROJECT, YEAR))


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    for key, each in value.items() if isinstance(value, dict) else ():
        yield from leaves(each, key)
    for each in value if isinstance(value, list) else ():
        yield from leaves(each, name)
    if isinstance(value, str):
        yield name, value


def test_official_examples_have_valid_copies_in_which_no_words_are_left(
    r4_package: Path, counted: Callable[[str, int], None]
) -> None:
    """A text of several words is nobody's code."""
    files = sorted(each for each in r4_package.glob("*.json") if each.name[0] != "." and each.stem not in REFUSED)
    for file in files[::SAMPLED]:
        resource = json.parse(file.read_bytes())
        if "resourceType" not in resource:
            continue
        copy = masked(resource, PROJECT, YEAR)
        known = {text for _, text in leaves(resource) if " " in text and len(text) > 8}
        assert not [each for each in leaves(copy) if each[1] in known], file.name
        counted("official examples masked, each copy valid", 1)
