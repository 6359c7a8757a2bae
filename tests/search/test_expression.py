"""Expressions of search parameters: all of R4's are understood, anything beyond is refused."""

from __future__ import annotations

import pytest

from fhir_server.fhir import definitions
from fhir_server.search.expression import Cast, Equals, Extended, Field, Item, Refers, Truth, parse
from fhir_server.search.registry import parameters
from fhir_server.search.routes import routes

CASES = [
    ("Patient.name.given", (Field("Patient"), Field("name"), Field("given"))),
    ("(Observation.value as Quantity)", (Field("Observation"), Field("value"), Cast("Quantity"))),
    ("Condition.onset.as(Age)", (Field("Condition"), Field("onset"), Cast("Age"))),
    ("X.value.ofType(Reference)", (Field("X"), Field("value"), Cast("Reference"))),
    ("(X.value as CodeableConcept).text", (Field("X"), Field("value"), Cast("CodeableConcept"), Field("text"))),
    ("X.telecom.where(system='email')", (Field("X"), Field("telecom"), Equals("system", "email"))),
    ("X.subject.where(resolve() is Patient)", (Field("X"), Field("subject"), Refers("Patient"))),
    ("X.item.where(hasExtension('u'))", (Field("X"), Field("item"), Extended("u"))),
    ("X.extension('u')", (Field("X"), Field("extension"), Equals("url", "u"))),
    ("Bundle.entry[0].resource", (Field("Bundle"), Field("entry"), Item(0), Field("resource"))),
    ("X.a.exists() and X.a != false", (Field("X"), Field("a"), Truth())),
]


@pytest.mark.parametrize(("text", "path"), CASES)
def test_an_expression_is_read(text: str, path: tuple[object, ...]) -> None:
    assert parse(text) == (path,)


def test_a_union_has_branches() -> None:
    assert parse("A.b | (A.c as Range)|A.d") == (
        (Field("A"), Field("b")),
        (Field("A"), Field("c"), Cast("Range")),
        (Field("A"), Field("d")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A.b +",
        "A.b.first()",
        "A.where(b>1)",
        "A.b and A.c",
        "A.where(b=c)",
        "(A.b",
        "A.b)",
        "A.b.extension(c)",
        "A..b",
        "A %",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(SyntaxError):
        parse(text)


def test_every_expression_of_r4_leads_somewhere() -> None:
    nowhere = [
        (resource_type, code)
        for resource_type in definitions.resource_types()
        for code, parameter in definitions.search_parameters(resource_type).items()
        if parameter.type != "composite" and not routes(resource_type, parameter)
    ]
    assert nowhere == []


@pytest.mark.parametrize(
    ("resource_type", "code", "keys"),
    [
        ("Observation", "value-quantity", {"valueQuantity", "valueSampledData"}),
        ("Observation", "date", {"effectiveDateTime", "effectivePeriod", "effectiveTiming", "effectiveInstant"}),
        ("Condition", "onset-date", {"onsetDateTime", "onsetPeriod"}),
        ("Patient", "email", {"telecom"}),
        ("InsurancePlan", "name", {"name", "alias"}),
    ],
)
def test_only_what_can_be_indexed_of_a_choice_is_kept(resource_type: str, code: str, keys: set[str]) -> None:
    assert {route.steps[0].key for route in parameters(resource_type)[code].routes} == keys


@pytest.mark.parametrize(
    ("resource_type", "code", "targets"),
    [
        ("Observation", "patient", ("Patient",)),
        ("Observation", "subject", ("Device", "Group", "Location", "Patient")),
        ("Encounter", "practitioner", ("Practitioner",)),
    ],
)
def test_a_reference_knows_what_it_may_refer_to(resource_type: str, code: str, targets: tuple[str, ...]) -> None:
    assert parameters(resource_type)[code].targets == targets
