"""Links in resources: visited in one walk, rewritten without touching what was given."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhir_server.interactions.links import Links, Target, Unresolved
from fhir_server.interactions.references import expression_of, rewritten

BASE = "http://fhir.example.org/fhir/acme"
PATIENT = "urn:uuid:6d8e7a3c-6a0b-4f0e-9b9b-000000000001"
BINARY = "urn:uuid:6d8e7a3c-6a0b-4f0e-9b9b-000000000002"
FAR = "http://legacy.example/fhir"
KNOWN = {
    PATIENT: Target("Patient", "new", created=True),
    BINARY: Target("Binary", "bin", created=True),
    f"{FAR}/Patient/7": Target("Patient", "seven"),
    f"{FAR}/Patient/8": Target("Patient", "eight", created=True),
}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def links(full_url: str | None = None, **more: Any) -> Links:
    return Links(BASE, KNOWN, full_url, bundled=True, **more)


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}


REWRITTEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a reference", {"subject": {"reference": PATIENT}}, {"subject": {"reference": "Patient/new"}}),
    (
        "its other elements stay",
        {"subject": {"reference": PATIENT, "display": "x"}},
        {"subject": {"reference": "Patient/new", "display": "x"}},
    ),
    (
        "in a list, beside others",
        {"focus": [{"reference": "Patient/1"}, {"reference": PATIENT}]},
        {"focus": [{"reference": "Patient/1"}, {"reference": "Patient/new"}]},
    ),
    (
        "in an extension of an extension",
        {"extension": [{"url": "a", "extension": [{"url": "b", "valueReference": {"reference": PATIENT}}]}]},
        {"extension": [{"url": "a", "extension": [{"url": "b", "valueReference": {"reference": "Patient/new"}}]}]},
    ),
    (
        "in an extension of a primitive",
        {"_status": {"extension": [{"url": "a", "valueReference": {"reference": PATIENT}}]}},
        {"_status": {"extension": [{"url": "a", "valueReference": {"reference": "Patient/new"}}]}},
    ),
    (
        "in what is contained",
        {"contained": [{"resourceType": "Procedure", "id": "c", "subject": {"reference": PATIENT}}]},
        {"contained": [{"resourceType": "Procedure", "id": "c", "subject": {"reference": "Patient/new"}}]},
    ),
    (
        "an assigner",
        {"identifier": [{"value": "1", "assigner": {"reference": "#org"}}], "subject": {"reference": PATIENT}},
        {"identifier": [{"value": "1", "assigner": {"reference": "#org"}}], "subject": {"reference": "Patient/new"}},
    ),
    (
        "links in narrative",
        {"text": {"status": "generated", "div": DIV.format(f"<a href=\"{BINARY}\">x</a><img src='{BINARY}'/>")}},
        {"text": {"status": "generated", "div": DIV.format("<a href=\"Binary/bin\">x</a><img src='Binary/bin'/>")}},
    ),
    (
        "a uri in an extension",
        {"extension": [{"url": "a", "valueUri": BINARY}]},
        {"extension": [{"url": "a", "valueUri": "Binary/bin"}]},
    ),
    (
        "a url with a fragment",
        {"extension": [{"url": "a", "valueUrl": f"{BINARY}#page=2"}]},
        {"extension": [{"url": "a", "valueUrl": "Binary/bin#page=2"}]},
    ),
    (
        "an absolute url of the Bundle",
        {"subject": {"reference": f"{FAR}/Patient/7"}},
        {"subject": {"reference": "Patient/seven"}},
    ),
    (
        "a version of what is updated",
        {"subject": {"reference": f"{FAR}/Patient/7/_history/3"}},
        {"subject": {"reference": "Patient/seven/_history/3"}},
    ),
    (
        "a version of what is created",
        {"subject": {"reference": f"{FAR}/Patient/8/_history/3"}},
        {"subject": {"reference": "Patient/eight/_history/1"}},
    ),
    (
        "an absolute url of this server",
        {"subject": {"reference": f"{BASE}/Patient/1"}},
        {"subject": {"reference": "Patient/1"}},
    ),
]

KEPT: list[tuple[str, dict[str, Any]]] = [
    ("nothing to rewrite", {}),
    ("a local reference", {"subject": {"reference": "Patient/1"}}),
    ("a reference elsewhere", {"subject": {"reference": "http://other.example/Patient/1"}}),
    ("a canonical", {"extension": [{"url": "a", "valueCanonical": PATIENT}]}),
    ("the value of an identifier", {"identifier": [{"system": "urn:ietf:rfc:3986", "value": PATIENT}]}),
    ("the system of a coding", {"code": {"coding": [{"system": PATIENT, "code": "x"}]}}),
    ("the url of an extension", {"extension": [{"url": PATIENT, "valueCode": "x"}]}),
    ("a string", {"valueString": PATIENT}),
    ("a display", {"subject": {"display": PATIENT}}),
    ("narrative without links", {"text": {"status": "generated", "div": DIV.format(PATIENT)}}),
    (
        "narrative with other links",
        {"text": {"status": "generated", "div": DIV.format('<a href="http://x.org">x</a>')}},
    ),
]


@pytest.mark.parametrize(("given", "expected"), [row[1:] for row in REWRITTEN], ids=[row[0] for row in REWRITTEN])
def test_is_rewritten(given: dict[str, Any], expected: dict[str, Any]) -> None:
    resource = observation(**given)
    before = copy.deepcopy(resource)
    assert rewritten(resource, links()) == observation(**expected)
    assert resource == before


@pytest.mark.parametrize("given", [row[1] for row in KEPT], ids=[row[0] for row in KEPT])
def test_is_kept(given: dict[str, Any]) -> None:
    resource = observation(**given)
    assert rewritten(resource, links()) is resource


def test_a_relative_reference_belongs_to_the_root_of_its_entry() -> None:
    resource = observation(subject={"reference": "Patient/7"})
    assert rewritten(resource, links(f"{FAR}/Observation/1"))["subject"] == {"reference": "Patient/seven"}
    elsewhere = links("http://third.example/fhir/Observation/1")
    assert rewritten(resource, elsewhere) is resource
    assert elsewhere.local == {("Patient", "7"): "Patient/7"}


def test_the_resources_of_a_stored_bundle_are_left_alone() -> None:
    document = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": observation(subject={"reference": PATIENT})}],
    }
    assert rewritten(document, links()) is document


def test_local_references_are_reported() -> None:
    found = links()
    rewritten(observation(subject={"reference": "Patient/1"}, encounter={"reference": "Encounter/2/_history/4"}), found)
    assert set(found.local) == {("Patient", "1"), ("Encounter", "2")}


def test_conditional_references_are_reported_until_they_are_known() -> None:
    resource = observation(subject={"reference": "Patient?identifier=1"})
    found = links()
    assert rewritten(resource, found) is resource
    assert found.conditional == ["Patient?identifier=1"]
    known = Links(BASE, {"Patient?identifier=1": Target("Patient", "p1")}, bundled=True)
    assert rewritten(resource, known)["subject"] == {"reference": "Patient/p1"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("urn:uuid:6d8e7a3c-6a0b-4f0e-9b9b-000000000009", "not-found"),
        ("urn:oid:1.2.3", "not-found"),
        ("http://fhir.example.org/fhir/lakeside/Patient/1", "not-found"),
        (BINARY, "value"),
    ],
)
def test_what_leads_nowhere_is_refused(text: str, code: str) -> None:
    with pytest.raises(Unresolved) as refusal:
        rewritten(observation(subject={"reference": text}), links())
    assert (refusal.value.text, refusal.value.code) == (text, code)


def test_a_conditional_reference_needs_a_transaction() -> None:
    with pytest.raises(Unresolved):
        rewritten(observation(subject={"reference": "Patient?identifier=1"}), Links(BASE, {}))


def test_the_place_of_a_link_is_named() -> None:
    resource = observation(performer=[{"display": "x"}, {"reference": PATIENT}])
    assert expression_of(resource, PATIENT) == "Observation.performer[1].reference"


@pytest.mark.slow
def test_no_example_of_the_specification_is_changed(r4_package: Any) -> None:
    from fhir_server.fhir import json

    for file in r4_package.glob("*.json"):
        resource = json.trusted(file.read_bytes())
        if "resourceType" in resource:
            assert rewritten(resource, Links(BASE, {}, strict=False)) is resource, file.name
