"""Scopes as text and as values.  https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.right import Right
from fhir_server.access.scopes import ANY, CONTEXTS, InvalidScope, Scope, Scopes
from fhir_server.fhir.definitions import resource_types

READ_SEARCH = frozenset({Right.READ, Right.SEARCH})

GRANULAR = [
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
    "patient/Condition.rs?category=problem-list-item,encounter-diagnosis",
    "user/Observation.cruds?code=8867-4&category=vital-signs",
    "system/Patient.r?_id=p1",
]

REFUSED = {
    "patient/Observation.sr": "in this order",
    "patient/Observation.rss": "in this order",
    "patient/Observation.x": "in this order",
    "patient/Observation.": "is not a scope",
    "patient/Observation": "is not a scope",
    "patient/Foo.r": "not an R4 resource type",
    "patient/observation.r": "not an R4 resource type",
    "patient/Resource.r": "not an R4 resource type",
    "*/*.*": "is not a scope",
    "admin/*.rs": "must be one of",
    "patient/*.rs?code=8867-4": "need one resource type",
    "patient/Observation.rs?": "is not a scope",
    "patient/Observation.rs?category:not=laboratory": "without modifier or chain",
    "patient/Observation.rs?subject.name=x": "without modifier or chain",
    "patient/Observation.rs?subject:Patient.name=x": "without modifier or chain",
    "patient/Observation.rs?_has:Group:member:_id=1": "without modifier or chain",
    "patient/Observation.rs?_include=Observation:subject": "without modifier or chain",
    "patient/Observation.rs?_sort=date": "without modifier or chain",
    "patient/Observation.rs?foo=1": "without modifier or chain",
    "patient/Observation.rs?category=": "has no value",
    "patient/Observation.rs?date=banana": "cannot be granted",
    "patient/Observation.rs?_lastUpdated=gt2020": "cannot be checked",
    'patient/Observation.rs?code="': "is not a scope",
    "patient/Observation.rs\n": "is not a scope",
    "email": "is not a scope",
}


@pytest.mark.parametrize("text", GRANULAR)
def test_granular_scopes_keep_their_criteria(text: str) -> None:
    scope = Scope.parse(text)
    assert scope.criteria == text.partition("?")[2]
    assert str(scope) == text


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_a_scope_that_cannot_be_granted_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidScope, match=reason):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("version_1", "version_2"),
    [
        ("patient/Observation.read", "patient/Observation.rs"),
        ("user/*.write", "user/*.cud"),
        ("system/Patient.*", "system/Patient.cruds"),
        ("patient/*.*", "patient/*.cruds"),
    ],
)
def test_version_1_scopes_mean_what_the_specification_says(version_1: str, version_2: str) -> None:
    assert Scope.parse(version_1) == Scope.parse(version_2)
    assert str(Scope.parse(version_1)) == version_2


def test_a_scope_permits_its_rights_on_its_type_only() -> None:
    scope = Scope.parse("patient/Observation.rs")
    assert scope.permits("Observation", Right.READ)
    assert not scope.permits("Observation", Right.UPDATE)
    assert not scope.permits("Condition", Right.READ)
    assert Scope.parse("system/*.c").permits("Condition", Right.CREATE)


def test_plain_scopes_are_kept_apart_and_repetitions_dropped() -> None:
    scopes = Scopes.parse("openid fhirUser launch/patient patient/*.rs patient/*.rs offline_access")
    assert scopes.plain == ("openid", "fhirUser", "launch/patient", "offline_access")
    assert scopes.resources == (Scope.parse("patient/*.rs"),)
    assert Scopes.parse(str(scopes)) == scopes


def test_what_is_not_understood_in_an_issued_token_grants_nothing() -> None:
    assert Scopes.granted("patient/Foo.r patient/*.sr openid system/Patient.r").resources == (
        Scope.parse("system/Patient.r"),
    )


@given(
    context=st.sampled_from(CONTEXTS),
    resource_type=st.sampled_from([ANY, *sorted(resource_types())]),
    rights=st.frozensets(st.sampled_from(Right), min_size=1),
)
def test_printing_and_parsing_round_trip(context: str, resource_type: str, rights: frozenset[Right]) -> None:
    scope = Scope(context, resource_type, rights)
    assert Scope.parse(str(scope)) == scope


@given(st.text(max_size=60))
def test_any_text_is_a_scope_or_refused(text: str) -> None:
    try:
        scope = Scope.parse(text)
    except InvalidScope:
        return
    assert Scope.parse(str(scope)) == scope
