"""What is asked again in the same words is understood once; what may mean something else the next time is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.crypto.blind import BlindIndex
from fhir_server.fhir.outcome import FhirError
from fhir_server.search import registry, remembered, sensitive
from fhir_server.search.blinding import Blinding
from fhir_server.search.lookup import Lookup, Unresolved
from fhir_server.search.order import NEWEST_FIRST
from fhir_server.search.own import Own, ParameterSet
from fhir_server.search.page import Position
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query

HOW: dict[str, Any] = {"lenient": False, "base": "http://x/fhir/a", "words": False, "contained": True}
VITALS = "category=vital-signs&code=http://loinc.org|8867-4&date=ge2020&_sort=-date"


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    remembered._lasting.cache_clear()
    yield
    remembered._lasting.cache_clear()


def understood(text: str = VITALS, kind: str = "Observation", known: Any = None, **other: Any) -> Query:
    pairs = tuple(parse_qsl(text, keep_blank_values=True))
    return remembered.understood((kind,), pairs, known=known or {}, **{**HOW, **other})


def test_the_same_words_are_understood_once_and_as_ever() -> None:
    assert understood() is understood()
    assert understood() == parse(("Observation",), parse_qsl(VITALS), **HOW)
    assert understood().self_link() == "category=vital-signs&code=http://loinc.org%7C8867-4&date=ge2020&_sort=-date"


@pytest.mark.parametrize(
    "other",
    [
        {"text": f"{VITALS}&_count=7"},
        {"kind": "DiagnosticReport", "text": "code=http://loinc.org|8867-4"},
        {"base": "http://x/fhir/b"},
        {"lenient": True},
        {"words": True},
        {"contained": False},
        {"default_count": 7},
    ],
    ids=str,
)
def test_other_words_or_another_place_are_something_else(other: dict[str, Any]) -> None:
    assert understood(**other) is understood(**other)
    assert understood(**other) is not understood(**{key: value for key, value in other.items() if key == "kind"})


@pytest.mark.parametrize(
    "text", ["date=ap2020", "_lastUpdated=ap2020-01", "_filter=date ap 2020", "code=" + "x" * 1001]
)
def test_what_depends_on_the_moment_or_is_long_is_not_remembered(text: str) -> None:
    assert understood(text) is not understood(text)


def test_codes_that_were_looked_up_are_not_remembered() -> None:
    looked_up = {Lookup("in", "http://vs"): frozenset({("http://loinc.org", "8867-4")})}
    for _ in range(2):
        with pytest.raises(Unresolved):
            understood("code:in=http://vs")
        assert understood("code:in=http://vs", known=looked_up).criteria
    assert understood(known=looked_up) is not understood(known=looked_up)


def test_what_is_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(FhirError, match="colour"):
            understood("colour=red")


BLINDED = Own(blinding=Blinding("a", sensitive.default(), BlindIndex(b"k" * 32)))


@pytest.mark.parametrize("own", [BLINDED, Own(unready={"http://p": "half of it is."})], ids=["encrypted", "unready"])
def test_nothing_is_kept_of_an_encrypted_tenant_or_one_that_is_changing(own: Own) -> None:
    with registry.using(own):
        assert understood() is not understood()


def test_other_parameters_in_force_understand_anew() -> None:
    before = understood()
    with registry.using(Own(added=ParameterSet(()))):
        assert understood() is not before
    assert understood() is before


def test_the_first_page_is_planned_once_for_those_who_see_all_and_once_for_the_others() -> None:
    query = understood()
    first, confined = plan(query), plan(query, confined=True)
    assert plan(understood()) is first
    assert plan(query, confined=True) is confined is not first
    later = plan(query, Position((None,) * len(NEWEST_FIRST)))
    assert later.filter != first.filter
    assert plan(query) is first


def test_what_was_worked_out_for_a_query_is_not_that_of_one_made_from_it() -> None:
    query = understood()
    link, first = query.self_link(), plan(query)
    fewer = replace(query, count=3, applied=(("_count", "3"),))
    assert (fewer.self_link(), plan(fewer).limit) == ("_count=3", 3)
    assert (query.self_link(), plan(query)) == (link, first)
