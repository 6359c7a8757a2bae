"""What a query string is understood to ask, and how it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

from fhir_server.fhir.outcome import FhirError
from fhir_server.search.parse import parse
from fhir_server.search.query import Query

REFUSED = yaml.safe_load((Path(__file__).parent / "cases_refused.yaml").read_text())


def asked(text: str, kind: str = "Patient", lenient: bool = False) -> Query:
    return parse(
        (kind,) if kind else (), parse_qsl(text, keep_blank_values=True), lenient=lenient, base="http://x/fhir/a"
    )


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["query"])
def test_what_is_not_understood_is_refused_by_name(case: dict[str, Any]) -> None:
    with pytest.raises(FhirError, match=r".") as refused:
        asked(case["query"])
    assert case["says"] in str(refused.value)
    assert [issue.code for issue in refused.value.issues] == [case["issue"]]
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "query",
    [
        "name=" + "a" * 5_000,
        "identifier=" + ",".join(map(str, range(1_500))),
        "&".join(f"name=a{number}" for number in range(200)),
        "_sort=" + ",".join(["name"] * 50),
        "_elements=" + ",".join(f"e{number}" for number in range(900)),
    ],
)
def test_too_much_is_refused(query: str) -> None:
    with pytest.raises(FhirError) as refused:
        asked(query)
    assert (refused.value.status, refused.value.issues[0].code) == (400, "too-costly")


def test_lenient_ignores_what_it_does_not_know_and_says_so() -> None:
    query = asked("nme=x&name:foo=y&gender=male&_sort=foo,birthdate", lenient=True)
    assert query.self_link() == "gender=male&_sort=birthdate"
    assert [issue.severity for issue in query.ignored] == ["warning"] * 3
    assert "'nme' was ignored" in query.ignored[0].diagnostics


def test_lenient_still_refuses_what_makes_no_sense() -> None:
    with pytest.raises(FhirError):
        asked("birthdate=banana", lenient=True)


def test_the_count_is_clamped_and_the_self_link_says_so() -> None:
    query = asked("_count=1000000000")
    assert (query.count, query.self_link()) == (1000, "_count=1000")


@pytest.mark.parametrize("text", ["_count=0", "_summary=count"])
def test_only_a_count(text: str) -> None:
    assert asked(text).counts_only


def test_result_parameters() -> None:
    query = asked("_total=accurate&_summary=true&_sort=-birthdate,name&_count=7")
    assert (query.total, query.summary, query.count) == ("accurate", "true", 7)
    assert [(each.parameter.code, each.descending) for each in query.sort] == [("birthdate", True), ("name", False)]
    assert query.shaped
    assert not query.counts_only


def test_elements_may_name_their_type() -> None:
    assert asked("_elements=Patient.name,birthDate").elements == ("name", "birthDate")


def test_an_empty_value_asks_nothing() -> None:
    query = asked("name=&gender=male")
    assert len(query.criteria) == 1
    assert query.self_link() == "gender=male"


def test_what_belongs_to_others_is_passed_over() -> None:
    assert asked("_format=json&_pretty=true&_cursor=abc").applied == ()


def test_several_types_know_what_they_share() -> None:
    assert asked("_type=Patient,Practitioner&name=x", "").resource_types == ("Patient", "Practitioner")
    with pytest.raises(FhirError, match="'birthdate' is not a search parameter of Practitioner"):
        asked("_type=Patient,Practitioner&birthdate=2000", "")


def test_all_types_share_few_parameters() -> None:
    assert asked("_id=a", "").resource_types == ()
    with pytest.raises(FhirError, match="'name' is not a search parameter of every resource type"):
        asked("name=x", "")


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(FhirError, match="Did you mean Patient"):
        asked("_type=Patien", "")


def test_the_self_link_of_a_system_search_names_the_types() -> None:
    assert asked("_type=Patient&_id=a", "").self_link() == "_type=Patient&_id=a"


def test_a_plus_sign_stays_one_in_the_self_link() -> None:
    assert (
        asked("_lastUpdated=gt2024-01-01T00:00:00%2B01:00").self_link() == "_lastUpdated=gt2024-01-01T00:00:00%2B01:00"
    )
