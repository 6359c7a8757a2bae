"""`_filter` finds what its tests find one by one, joined as it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.search import joins
from fhir_server.search.filter import MAX_TESTS
from fhir_server.search.index import index
from fhir_server.search.match import matches
from fhir_server.search.parse import parse
from fhir_server.search.plan import Plan, plan
from tests.search import naive

NOW = datetime(2024, 6, 1, tzinfo=UTC)

TESTS: dict[str, tuple[str, str]] = {
    "gender eq male": ("gender", "male"),
    "gender eq http://hl7.org/fhir/administrative-gender|female": ("gender", "female"),
    'family co "mi"': ("family:contains", "mi"),
    "family sw smi": ("family", "smi"),
    "given eq ann": ("given:exact", "Ann"),
    "birthdate ge 1975-01": ("birthdate", "ge1975-01"),
    "birthdate ne 1970": ("birthdate", "ne1970"),
    "birthdate pr true": ("birthdate:missing", "false"),
    "identifier eq urn:a|1": ("identifier", "urn:a|1"),
    "active pr false": ("active:missing", "true"),
}
"""Tests, each with the parameter that asks the same."""

Tree = tuple[str, Any]

leaves = st.sampled_from(sorted(TESTS)).map(lambda text: ("test", text))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda each: ("not", [each])),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)
people = st.fixed_dictionaries(
    {"resourceType": st.just("Patient"), "id": st.just("p")},
    optional={
        "gender": st.sampled_from(["male", "female"]),
        "active": st.booleans(),
        "birthDate": st.sampled_from(["1970", "1970-05", "1975-01-01", "1980"]),
        "name": st.lists(
            st.fixed_dictionaries({"family": st.sampled_from(["Smith", "Emil"]), "given": st.just(["Ann"])}), min_size=1
        ),
        "identifier": st.just([{"system": "urn:a", "value": "1"}]),
    },
)


def written(tree: Tree) -> str:
    operator, parts = tree
    if operator == "test":
        return str(parts)
    if operator == "not":
        return f"not({written(parts[0])})"
    return f" {operator} ".join(each if kind == "test" else f"({written((kind, each))})" for kind, each in parts)


def true_of(tree: Tree, resource: dict[str, Any]) -> bool:
    operator, parts = tree
    if operator == "test":
        return naive.finds(resource, [TESTS[parts]], "", NOW)
    found = [true_of(each, resource) for each in parts]
    return {"and": all(found), "or": any(found), "not": not found[0]}[operator]


def asked(kind: str, text: str) -> Plan:
    return plan(parse((kind,), [("_filter", text)], lenient=False, base="", now=NOW))


@given(trees, people)
def test_a_filter_means_what_it_says(tree: Tree, resource: dict[str, Any]) -> None:
    document = {"rt": "Patient", "id": "p", "lu": NOW, **index(resource).as_document()}
    assert matches(document, asked("Patient", written(tree)).criteria) == true_of(tree, resource)


@given(st.text(st.sampled_from('() []."\\ andeqornt|:'), max_size=40))
def test_whatever_is_written_is_read_or_refused_with_its_place(text: str) -> None:
    problem = refused(text)
    assert problem is None or problem.status == 400
    assert problem is None or all("_filter" in each.diagnostics for each in problem.issues)


def refused(text: str) -> FhirError | None:
    try:
        asked("Patient", text)
    except FhirError as problem:
        return problem
    return None


def test_what_is_joined_by_and_enters_an_index_as_parameters_do() -> None:
    one = asked("Observation", "status eq final and patient eq Patient/p1 and date ge 2024")
    other = plan(
        parse(
            ("Observation",),
            [("status", "final"), ("patient", "Patient/p1"), ("date", "ge2024")],
            lenient=False,
            base="",
        )
    )
    assert (one.filter, one.hint) == (other.filter, other.hint)


def test_alternatives_of_exact_entries_enter_an_index() -> None:
    assert asked("Observation", "patient eq Patient/a or patient eq Patient/b").hint == "tok"


def test_every_type_on_the_way_is_known() -> None:
    text = "status eq x or not(patient[gender eq male].organization.name eq x)"
    query = parse(("Observation",), [("_filter", text)], lenient=False, base="")
    assert [each.resource_types for each in joins.queries(query)] == [("Observation",), ("Patient",), ("Organization",)]


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(["gender eq male"] * (MAX_TESTS + 1)),
        "organization" + ".partof" * 6 + ".name eq x",
        "not(" * 30 + "gender eq male" + ")" * 30,
    ],
)
def test_what_is_too_much_is_refused(text: str) -> None:
    with pytest.raises(FhirError) as refused:
        asked("Patient", text)
    assert (refused.value.status, refused.value.issues[0].code) == (400, "too-costly")
