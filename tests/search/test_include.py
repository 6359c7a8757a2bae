"""What `_include` and `_revinclude` follow, decided on index entries."""

from __future__ import annotations

import pytest

from fhir_server.fhir import definitions
from fhir_server.search.include import parse, references, referring

TOKENS = [
    "subject=Patient/p1",
    "patient=Patient/p1",
    "performer=Practitioner/dr",
    "performer=Organization/org",
    "has-member=Observation/o2/_history/3",
    "has-member=Observation/o2",
    "focus=http://elsewhere.example/Patient/p9",
    "derived-from=urn:uuid:1",
    "code:8867-4",
    "code=http://loinc.org|8867-4",
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Observation:subject", [("Patient", "p1")]),
        ("Observation:subject:Group", []),
        ("Observation:performer", [("Practitioner", "dr"), ("Organization", "org")]),
        ("Observation:performer:Organization", [("Organization", "org")]),
        ("Observation:has-member", [("Observation", "o2")]),
        ("Observation:focus", []),
        ("Observation:derived-from", []),
        ("DiagnosticReport:subject", []),
    ],
)
def test_forward(value: str, expected: list[tuple[str, str]]) -> None:
    assert list(parse("_include", value).forward("Observation", TOKENS)) == expected


@pytest.mark.parametrize("value", ["*", "Observation:*"])
def test_forward_along_every_reference(value: str) -> None:
    found = set(parse("_include", value).forward("Observation", TOKENS))
    assert found == {("Patient", "p1"), ("Practitioner", "dr"), ("Organization", "org"), ("Observation", "o2")}


def test_backward() -> None:
    found = parse("_revinclude", "Observation:subject").backward(
        [("Patient", "a"), ("Patient", "b"), ("Encounter", "c")]
    )
    assert found == {"Observation": ("subject=Patient/a", "subject=Patient/b")}
    assert parse("_revinclude", "Observation:subject:Group").backward([("Patient", "a")]) == {}


def test_backward_along_every_reference() -> None:
    found = parse("_revinclude", "*").backward([("Patient", "a")])
    assert set(found["Observation"]) == {f"{code}=Patient/a" for code in ("focus", "patient", "performer", "subject")}
    others = {each.partition(":")[0] for each in referring("Patient")}
    assert set(found) == others - {"AuditEvent"}, "events are asked for on their own"


def test_what_refers_to_a_type_is_what_may() -> None:
    for resource_type in definitions.resource_types():
        for each in referring(resource_type):
            source, _, code = each.partition(":")
            assert resource_type in references(source)[code]


def test_canonical_urls_are_not_followed() -> None:
    assert "depends-on" not in references("Measure") or "Reference" in str(references("Measure"))
    assert "questionnaire" not in references("QuestionnaireResponse")
