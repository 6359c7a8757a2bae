"""Value sets written out, and asked for single codes: both ways agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.terminology import code_system
from fhir_server.fhir.terminology.value_set import Known, Member, expand, find

TABLE = yaml.safe_load(Path(__file__).with_name("value_sets.yaml").read_text(encoding="utf-8"))
SYSTEMS = {each["url"]: code_system.read(each) for each in TABLE["systems"]}
SETS = {each["url"]: each for each in TABLE["sets"]}
KNOWN = Known(lambda url, _: SYSTEMS.get(url), lambda url, _: SETS.get(url))
ANIMALS = SYSTEMS["urn:animals"]
FILTERS = [each["filter"] for each in TABLE["cases"] if "filter" in each and "codes" in each]


def composed(case: dict[str, Any]) -> dict[str, Any]:
    include = case.get("include") or [{"system": "urn:animals", "filter": [case["filter"]]}]
    return {"compose": {"include": include, **{name: case[name] for name in ("exclude", "inactive") if name in case}}}


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda each: each["title"])
def test_expansion(case: dict[str, Any]) -> None:
    if "issue" in case:
        with pytest.raises(FhirError) as refused:
            expand(composed(case), KNOWN)
        assert refused.value.issues[0].code == case["issue"]
    else:
        assert [each.code for each in expand(composed(case), KNOWN)] == case["codes"]


includes = st.one_of(
    st.fixed_dictionaries({"valueSet": st.lists(st.sampled_from(["urn:pets", "urn:mammals"]), min_size=1)}),
    st.fixed_dictionaries({"system": st.just("urn:animals"), "filter": st.lists(st.sampled_from(FILTERS), max_size=2)}),
    st.fixed_dictionaries(
        {
            "system": st.just("urn:animals"),
            "concept": st.lists(st.sampled_from(sorted(ANIMALS.concepts)), min_size=1).map(
                lambda codes: [{"code": code} for code in codes]
            ),
        }
    ),
)


@given(include=st.lists(includes, min_size=1, max_size=3), exclude=st.lists(includes, max_size=2), all_=st.booleans())
def test_a_code_is_found_exactly_where_it_is_listed(include: list[Any], exclude: list[Any], all_: bool) -> None:
    value_set = {"compose": {"include": include, "exclude": exclude, "inactive": all_}}
    listed = {each.code for each in expand(value_set, KNOWN)}
    assert {code for code in ANIMALS.concepts if find(value_set, KNOWN, "urn:animals", code)} == listed


def test_too_many_codes_are_refused_rather_than_cut() -> None:
    with pytest.raises(FhirError, match="more than 3 codes"):
        expand({"compose": {"include": [{"system": "urn:animals"}]}}, KNOWN, most=3)


def test_what_is_not_for_use_is_left_out_when_asked() -> None:
    listed = expand(SETS["urn:mammals"], KNOWN, active_only=True)
    assert [each.code for each in listed] == ["mammal", "cat", "dog"]


def test_a_display_of_the_value_set_comes_first() -> None:
    assert find(SETS["urn:pets"], KNOWN, "urn:animals", "dog") == Member("urn:animals", "dog", "Hound")


def test_case_matters_only_where_the_system_says_so() -> None:
    value_set = {"compose": {"include": [{"system": "urn:loud"}]}}
    found = find(value_set, KNOWN, "urn:loud", "LOUD")
    assert found is not None
    assert found.code == "Loud"
    assert find(SETS["urn:pets"], KNOWN, "urn:animals", "DOG") is None


def test_a_part_of_a_system_says_yes_and_never_no() -> None:
    value_set = {"compose": {"include": [{"system": "urn:part"}]}}
    assert find(value_set, KNOWN, "urn:part", "a") is not None
    with pytest.raises(FhirError, match="is not known"):
        find(value_set, KNOWN, "urn:part", "b")


def test_a_value_set_of_nothing_but_an_expansion() -> None:
    rows = [{"system": "urn:x", "code": "a", "contains": [{"system": "urn:x", "code": "b"}]}]
    assert [each.code for each in expand({"expansion": {"contains": rows}}, KNOWN)] == ["a", "b"]
    with pytest.raises(FhirError, match="only a part"):
        expand({"expansion": {"total": 9, "contains": rows}}, KNOWN)
    with pytest.raises(FhirError, match="which codes"):
        expand({"url": "urn:empty"}, KNOWN)


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ("cat", "cat", "equivalent"),
        ("animal", "dodo", "subsumes"),
        ("dodo", "bird", "subsumed-by"),
        ("cat", "dog", "not-subsumed"),
    ],
)
def test_subsumption(one: str, other: str, outcome: str) -> None:
    assert ANIMALS.subsumption(one, other) == outcome


def test_a_hierarchy_that_comes_back_to_itself_has_an_end() -> None:
    rows = [{"code": a, "property": [{"code": "parent", "valueCode": b}]} for a, b in ("ab", "bc", "ca")]
    assert code_system.read({"url": "urn:ring", "concept": rows}).ancestors("a") == {"a", "b", "c"}
