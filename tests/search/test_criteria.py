"""Conditions on other resources as a tree: which types are searched on the way, and what is refused."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.search import joins
from fhir_server.search.criteria import MAX_DEPTH
from fhir_server.search.parse import MAX_JOINS, parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.search.term import NOTHING


def asked(kind: str, text: str) -> Query:
    return parse((kind,), parse_qsl(text), lenient=False, base="http://x/fhir/a")


@pytest.mark.parametrize(
    ("kind", "text", "types"),
    [
        ("Observation", "subject:Patient.name=x", [("Observation",), ("Patient",)]),
        ("Observation", "subject.name=x", [("Observation",), ("Location", "Patient")]),
        ("Observation", "patient.name=x", [("Observation",), ("Patient",)]),
        ("Observation", "subject.birthdate=2000", [("Observation",), ("Patient",)]),
        ("Patient", "_has:Observation:patient:code=x", [("Patient",), ("Observation",)]),
        (
            "Patient",
            "_has:Observation:patient:performer:Practitioner.name=x",
            [("Patient",), ("Observation",), ("Practitioner",)],
        ),
        ("Observation", "subject._has:Group:member:_id=g", [("Observation",), ("Patient",), ("Group",)]),
        (
            "Observation",
            "patient.name=x&encounter.status=y",
            [("Observation",), ("Patient",), ("Encounter",)],
        ),
    ],
)
def test_every_type_on_the_way_is_known_before_anything_is_run(
    kind: str, text: str, types: list[tuple[str, ...]]
) -> None:
    if "_has:Group" in text:
        text = text.replace("subject.", "subject:Patient.")
    assert [each.resource_types for each in joins.queries(asked(kind, text))] == types


def test_as_deep_as_allowed_and_no_deeper() -> None:
    assert asked("Organization", ".".join(["partof"] * MAX_DEPTH) + ".name=x").criteria[0].joins == MAX_DEPTH
    with pytest.raises(FhirError) as refused:
        asked("Organization", ".".join(["partof"] * (MAX_DEPTH + 1)) + ".name=x")
    assert (refused.value.status, refused.value.issues[0].code) == (400, "too-costly")


def test_a_deep_chain_through_every_type_is_read_at_once() -> None:
    """The types of one step are searched together: their number does not multiply."""
    query = asked("Provenance", "target.focus.focus.focus.focus._id=x")
    assert len(list(joins.queries(query))) == MAX_DEPTH + 1


def test_not_too_many_references_in_all() -> None:
    text = "&".join(f"patient.name=x{number}" for number in range(MAX_JOINS + 1))
    with pytest.raises(FhirError) as refused:
        asked("Observation", text)
    assert (refused.value.status, refused.value.issues[0].code) == (400, "too-costly")


def test_what_is_not_resolved_finds_nothing() -> None:
    assert plan(asked("Observation", "patient.name=x")).criteria == NOTHING
    assert plan(asked("Patient", "_has:Observation:patient:code=x")).criteria == NOTHING


def test_the_condition_that_few_match_is_followed_first() -> None:
    query = asked("Observation", "patient.gender=male&patient.identifier=x|1&patient.name=smith")
    order = [each.join.source.criteria[0].parameter.code for each in joins.joined(query) if each.join]
    assert order == ["identifier", "name", "gender"]


def test_what_is_found_becomes_tokens_or_ids() -> None:
    query = asked("Observation", "patient.name=x")
    (criterion,) = query.criteria
    assert criterion.join
    found = joins.resolved(query, criterion, criterion.join, frozenset({"Patient/b", "Patient/a"}))
    assert plan(joins.narrowed(joins.plain(query), found)).criteria == {
        "tok": {"$in": ["patient=Patient/a", "patient=Patient/b"]}
    }
    query = asked("Patient", "_has:Observation:patient:code=x")
    (criterion,) = query.criteria
    assert criterion.join
    found = joins.resolved(query, criterion, criterion.join, frozenset({"Patient/b", "Patient/a"}))
    assert plan(joins.narrowed(joins.plain(query), found)).ids == ("a", "b")
