"""Tokens by value set and hierarchy, compared with what is said of them straight away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.search.index import index
from fhir_server.search.lookup import MOST, Codings, Lookup, Unresolved
from fhir_server.search.match import matches
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan

NOW = datetime(2024, 6, 1, tzinfo=UTC)
pairs = st.tuples(st.sampled_from(["urn:a", "urn:a|b", "urn:b"]), st.sampled_from(["1", "11", "a,b", "x|y"]))
codings = st.lists(pairs | st.tuples(st.none(), st.sampled_from(["1", "11"])), max_size=3)


def found(resource: dict[str, Any], name: str, known: dict[Lookup, Codings]) -> bool:
    values = ",".join(each.value for each in known)
    asked = parse((resource["resourceType"],), [(name, values)], lenient=False, base="", now=NOW, known=known)
    document = {"rt": resource["resourceType"], "id": "r", **index(resource).as_document()}
    return matches(document, plan(asked).criteria)


@given(codings, st.frozensets(pairs), st.frozensets(pairs))
def test_in_and_not_in_divide_what_there_is(stated: list[tuple[str | None, str]], one: Codings, other: Codings) -> None:
    listed = [{"code": code, **({"system": system} if system else {})} for system, code in stated]
    condition = {"resourceType": "Condition", **({"code": {"coding": listed}} if listed else {})}
    known = {Lookup("in", "urn:one"): one, Lookup("in", "urn:other"): other}
    expected = not (one | other).isdisjoint(stated)
    assert found(condition, "code:in", known) == expected
    assert found(condition, "code:not-in", known) == (not expected)


@given(st.sampled_from(["male", "female", None]), st.frozensets(st.sampled_from(["male", "female", "other"])))
def test_a_bare_code_is_of_the_system_of_its_binding(gender: str | None, wanted: frozenset[str]) -> None:
    patient = {"resourceType": "Patient", **({"gender": gender} if gender else {})}
    for system, known_here in (("http://hl7.org/fhir/administrative-gender", True), ("urn:other", False)):
        known = {Lookup("in", "urn:v"): frozenset((system, code) for code in wanted)}
        assert found(patient, "gender:in", known) == (known_here and gender in wanted)


def test_what_is_not_known_yet_is_named() -> None:
    for name, value, lookup in (
        ("code:in", "urn:v", Lookup("in", "urn:v")),
        ("code:below", "urn:s|a", Lookup("below", "urn:s|a")),
        ("subject:Patient.gender:not-in", "urn:v", Lookup("in", "urn:v")),
        ("_has:Observation:has-member:code:above", "urn:s|a", Lookup("above", "urn:s|a")),
    ):
        resource_type = "Observation"
        with pytest.raises(Unresolved) as missing:
            parse((resource_type,), [(name, value)], lenient=True, base="", known={})
        assert missing.value.lookup == lookup


def test_it_is_refused_where_nothing_can_be_looked_up() -> None:
    with pytest.raises(FhirError, match="cannot be used here"):
        parse(("Condition",), [("code:in", "urn:v")], lenient=False, base="")


def test_too_many_codes_are_refused() -> None:
    known = {Lookup("in", "urn:v"): frozenset(("urn:a", str(number)) for number in range(MOST + 1))}
    with pytest.raises(FhirError) as refused:
        parse(("Condition",), [("code:in", "urn:v")], lenient=False, base="", known=known)
    assert (refused.value.status, refused.value.issues[0].code) == (422, "too-costly")
