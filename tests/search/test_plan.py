"""Plans of the common searches: an index finds and sorts, nothing is scanned whole and nothing is sorted in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.search.page import Position
from fhir_server.search.parse import parse
from fhir_server.search.plan import Plan, plan
from fhir_server.search.query import Query
from tests.search.collection import Documents, rows, where

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def asked(kind: str, query: str) -> Query:
    return parse((kind,) if kind else (), parse_qsl(query), lenient=False, base="", now=NOW)


def parts(found: Plan | None) -> Iterator[Plan]:
    while found:
        yield found
        found = found.then


def stages(people: Documents, part: Plan) -> tuple[list[str], dict[str, Any]]:
    cursor = people.find(where(part), limit=part.limit + 1)
    cursor = cursor.sort(part.sort) if part.sort else cursor
    explained = (cursor.hint(part.hint) if part.hint else cursor).explain()
    return list(_stages(explained["queryPlanner"]["winningPlan"])), explained["executionStats"]


def _stages(stage: dict[str, Any]) -> Iterator[str]:
    yield stage["stage"]
    for inner in [stage["inputStage"]] if "inputStage" in stage else stage.get("inputStages", []):
        yield from _stages(inner)


GOLDEN = [
    ("Observation", "patient=p1"),
    ("Observation", "patient=p1&code=8867-4"),
    ("Observation", "patient=p1,p2&code=8867-4"),
    ("Observation", "patient=p1&code=8867-4,718-7&_sort=-date"),
    ("Observation", "patient=p1&date=ge2020-01-20"),
    ("Observation", "patient=p1&code=8867-4&date=ge2020-01-10&date=lt2020-02-01"),
    ("Observation", "code=http://loinc.org|8867-4"),
    ("Observation", "code=8867-4&date=ge2020-02-10"),
    ("Observation", "date=2020-01-20"),
    ("Observation", "date=ge2020-02-10"),
    ("Observation", "_lastUpdated=ge2024-06-01"),
    ("Observation", "_sort=-_lastUpdated"),
    ("Observation", ""),
    ("Patient", "name=smi"),
    ("Patient", "family:exact=Smith"),
    ("Patient", "family=smith&birthdate=1975-05-11"),
    ("Patient", "birthdate=1975-05-11"),
    ("Patient", "_sort=birthdate"),
    ("Patient", "_sort=family"),
    ("Patient", "_sort=_id"),
    ("Patient", "_sort=-_id"),
    ("Observation", "_sort=status"),
    ("Observation", "_sort=subject"),
    ("Patient", "identifier=http://mrn|123"),
    ("", "_type=Patient,Organization"),
]


@pytest.mark.parametrize(("kind", "text"), GOLDEN)
def test_a_golden_query_is_answered_by_an_index_in_its_order(kind: str, text: str, people: Documents) -> None:
    for part in parts(plan(asked(kind, text))):
        names, _ = stages(people, part)
        assert "COLLSCAN" not in names
        assert "SORT" not in names


@pytest.mark.parametrize(
    ("kind", "text", "most"),
    [
        ("Observation", "date=2020-01-20", 30),
        ("Observation", "date=sa2020-02-18", 30),
        ("Observation", "code=8867-4&date=2020-01-20", 20),
        ("Patient", "birthdate=1975-05-11", 20),
        ("Observation", "value-quantity=gt48", 60),
        ("Observation", "value-quantity=gt48&status=final", 60),
        ("Observation", "code-value-quantity=8867-4$gt45", 20),
        ("Observation", "combo-code-value-quantity=http://loinc.org|8867-4$gt45", 20),
        ("Observation", "code-value-quantity=8867-4$gt45&status=final", 20),
        ("Patient", "_id=p1,p2", 600),
    ],
)
def test_the_index_is_entered_where_matches_can_be(kind: str, text: str, most: int, people: Documents) -> None:
    for part in parts(plan(asked(kind, text))):
        assert stages(people, part)[1]["totalDocsExamined"] <= most


def test_a_late_page_costs_what_the_first_one_does(people: Documents) -> None:
    query = asked("Observation", "_count=10")
    position: Position | None = None
    for _ in range(30):
        found = plan(query, position)
        listed = rows(people, found)
        assert stages(people, found)[1]["totalDocsExamined"] <= 40
        position = found.position_of(listed[9])


def test_the_most_selective_entry_comes_first() -> None:
    wanted = plan(asked("Observation", "status=final&category=vital-signs&code=8867-4&patient=p1"))
    assert wanted.filter["tok"]["$all"] == ["patient=Patient/p1", "code:8867-4", "category:vital-signs", "status:final"]
    assert wanted.hint == "tok"


def test_several_values_can_lead(people: Documents) -> None:
    """An equality on something common must not be preferred to several values of something rare."""
    (part,) = parts(plan(asked("Observation", "patient=p1,p2&status=final")))
    assert stages(people, part)[1]["totalDocsExamined"] < 60


def test_ids_are_told_to_the_store() -> None:
    assert plan(asked("Patient", "_id=a,b&name=x")).ids == ("a", "b")
    assert plan(asked("Patient", "name=x")).ids is None


def test_a_count_has_no_order_in_it() -> None:
    wanted = plan(asked("Observation", "code=1&_sort=date"))
    assert wanted.criteria == {"tok": "code:1"}
    assert wanted.filter != wanted.criteria


def test_what_reaches_into_a_time_is_looked_for_in_two_phases() -> None:
    recent, long = parts(plan(asked("Observation", "date=ge2020-01-20")))
    assert recent.filter["d"] == {"$gte": datetime(2020, 1, 20, tzinfo=UTC)}
    assert recent.hint == "order"
    assert long.filter["d"] == {"$lt": datetime(2020, 1, 20, tzinfo=UTC)}
    assert (long.filter["tok"], long.hint) == ("date~long", "tok")


def test_a_search_over_all_types_knows_only_what_all_have() -> None:
    assert plan(asked("", "_tag=vip")).filter == {"tok": "_tag:vip"}
