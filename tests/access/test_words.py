"""Scopes in plain words.  https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html"""

from __future__ import annotations

import pytest

from fhir_server.access.scopes import PLAIN, Scope
from fhir_server.access.words import categories, plain, sentence
from fhir_server.fhir.definitions import resource_types

SAID = {
    "patient/*.rs": "See everything in the record of the chosen patient",
    "patient/*.cruds": "See, add, change and delete everything in the record of the chosen patient",
    "user/MedicationRequest.rs": "See prescriptions of all patients whom you may see",
    "system/NutritionOrder.c": "Add nutrition order of all patients",
    "patient/Observation.cu": "Add and change measurements and test results of the chosen patient",
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs": (
        "See vital signs of the chosen patient"
    ),
    "patient/Observation.rs?code=8867-4&status=final": (
        "See measurements and test results where code is 8867-4 and status is final of the chosen patient"
    ),
}


@pytest.mark.parametrize(("scope", "said"), SAID.items())
def test_a_scope_is_said_in_words(scope: str, said: str) -> None:
    assert sentence(Scope.parse(scope)) == said


def test_every_type_and_every_plain_scope_can_be_said() -> None:
    for resource_type in resource_types():
        assert sentence(Scope.parse(f"patient/{resource_type}.rs")).startswith("See ")
    assert all(plain(word)[0].isupper() for word in PLAIN)


def test_a_scope_can_be_narrowed_to_categories_that_are_scopes() -> None:
    found = categories(Scope.parse("patient/Condition.rs"))
    assert [label for _, label in found] == ["diagnoses of visits", "the problem list", "health concerns"]
    assert len(categories(Scope.parse("patient/Observation.rs"))) == 5
    for resource_type in ("Condition", "Observation"):
        for query, label in categories(Scope.parse(f"patient/{resource_type}.rs")):
            assert label in sentence(Scope.parse(f"patient/{resource_type}.rs?{query}"))


def test_what_is_narrow_already_or_has_no_categories_cannot() -> None:
    assert categories(Scope.parse("patient/Goal.rs")) == []
    assert categories(Scope.parse("patient/*.rs")) == []
    assert categories(Scope.parse("patient/Observation.rs?code=1")) == []
