"""Whether a constraint holds, what it may say, and what cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.fhir.definitions import Constraint, kinds, structure
from fhir_server.fhir.fhirpath import MAX_LENGTH, Unevaluable, compiled, evaluated, holds

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "gender": "male",
    "active": False,
    "name": [{"family": "Day"}, {"_family": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}}],
    "birthDate": "2000",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Organization", "id": "a", "name": "A"}],
    "managingOrganization": {"reference": "#a"},
}
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"


@pytest.mark.parametrize(
    "expression",
    [
        "name.exists()",
        "Patient.name.exists()",
        "active.not()",
        "name.first().family.hasValue()",
        "name[1].family.hasValue().not()",
        "%context.gender = %resource.gender and %rootResource.gender = 'male'",
        "%sct = 'http://snomed.info/sct' and %loinc = 'http://loinc.org'",
        "%`vs-x` = 'http://hl7.org/fhir/ValueSet/x' and %`ext-x` = 'http://hl7.org/fhir/StructureDefinition/x'",
        f"gender.memberOf('{GENDERS}')",
        "managingOrganization.resolve().ofType(Organization).name = 'A'",
        "text.`div`.htmlChecks()",
        "birthDate < today()",
        "name.trace('names').count() = 2",
    ],
)
def test_what_holds(expression: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert holds(expression, PATIENT, "Patient", PATIENT)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("expression", ["deceased.exists()", "active", "{}", "name.where(family = 'x').exists()"])
def test_what_does_not(expression: str) -> None:
    """An empty answer is no yes."""
    assert not holds(expression, PATIENT, "Patient", PATIENT)


@pytest.mark.parametrize(
    "expression",
    [
        "name family given",
        "name.where(",
        "name.exists())",
        "'open",
        "text.div",
        "name",
        "gender.conformsTo('x')",
        "%unknown",
        "gender.memberOf('http://example.org/unknown')",
        "x" * (MAX_LENGTH + 1),
        "(" * 3000 + "1" + ")" * 3000,
    ],
)
def test_what_cannot_be_told(expression: str) -> None:
    with pytest.raises(Unevaluable):
        holds(expression, PATIENT, "Patient", PATIENT)


def test_an_element_knows_its_type() -> None:
    quantity = {"code": {"text": "x"}, "valueQuantity": {"value": 1}}
    found = {"resourceType": "Observation", "component": [quantity]}
    assert holds("value.ofType(Quantity).exists()", quantity, "Observation.component", found)
    assert not holds("value.ofType(string).exists()", quantity, "Observation.component", found)


def test_what_is_contained_sees_its_container() -> None:
    inside = PATIENT["contained"][0]
    assert holds("%rootResource.gender = 'male' and %resource.name = 'A'", inside, "Organization", inside, PATIENT)


def test_what_a_bundle_holds_is_resolved() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "urn:uuid:1", "resource": PATIENT}, {"resource": {"resourceType": "Patient"}}],
    }
    reference = {"reference": "urn:uuid:1"}
    assert holds("resolve() is Patient", reference, "Reference", bundle)
    assert evaluated("resolve()", {"reference": "urn:uuid:2"}, "Reference", bundle) == []


def test_functions_may_be_added() -> None:
    told = {"conformsTo": lambda _, profile: profile == "http://example.org/p"}
    assert holds("conformsTo('http://example.org/p')", PATIENT, "Patient", PATIENT, functions=told)


def constraints() -> set[Constraint]:
    found = {each for name in kinds() for each in structure(name).constraints}
    elements = (each for name in kinds() for group in structure(name).elements.values() for each in group)
    return found | {constraint for each in elements for constraint in each.constraints}


def test_every_constraint_of_r4_is_read() -> None:
    assert len(constraints()) > 200
    for each in constraints():
        compiled(each.expression)
