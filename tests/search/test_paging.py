"""Pages in every order: nothing is lost or shown twice, and what is missing comes last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pymongo import MongoClient

from fhir_server.search.match import matches
from fhir_server.search.page import open_, seal
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from tests.search.collection import Documents, document, pages, prepare

NOW = datetime(2024, 6, 1, tzinfo=UTC)
KEY = bytes(32)


def asked(kind: str, query: str) -> Query:
    return parse((kind,) if kind else (), parse_qsl(query), lenient=False, base="", now=NOW)


def through_cursor(position: Any) -> Any:
    """As a position travels between requests."""
    return open_(seal(position, b"binding", KEY), b"binding", KEY)


def all_matching(people: Documents, query: Query) -> list[dict[str, Any]]:
    wanted = plan(query).criteria
    types = query.resource_types
    return [each for each in people.find() if (not types or each["rt"] in types) and matches(each, wanted)]


QUERIES = [
    ("Observation", "_count=7"),
    ("Observation", "_count=7&_sort=date"),
    ("Observation", "_count=7&_sort=-date"),
    ("Observation", "_count=7&code=8867-4"),
    ("Observation", "_count=7&code=8867-4,718-7&_sort=date"),
    ("Observation", "_count=7&patient=p1,p2,p3&status=final"),
    ("Observation", "_count=7&date=ge2020-01-20"),
    ("Observation", "_count=7&date=ge2020-01-20&_sort=date"),
    ("Observation", "_count=7&date=gt2020-01-20&code=8867-4"),
    ("Observation", "_count=7&date=ge2020-01-10&date=lt2020-01-20"),
    ("Observation", "_count=7&date=le2020-01-10&_sort=date"),
    ("Observation", "_count=7&date=sa2020-02-01"),
    ("Observation", "_count=7&date=ap2020-02-01"),
    ("Observation", "_count=7&date=ne2020-01"),
    ("Observation", "_count=7&date:missing=true"),
    ("Observation", "_count=7&date:missing=false&_sort=date"),
    ("Observation", "_count=7&patient=p1&date=ge2020-01-20"),
    ("Observation", "_count=7&_sort=value-quantity"),
    ("Observation", "_count=7&_sort=-value-quantity,date"),
    ("Observation", "_count=7&_sort=status,-_lastUpdated"),
    ("Observation", "_count=7&value-quantity=gt20"),
    ("Observation", "_count=7&_lastUpdated=ge2024-06-01T01:00:00Z"),
    ("Patient", "_count=7"),
    ("Patient", "_count=7&name=smi"),
    ("Patient", "_count=7&name=smith&birthdate=ge1975"),
    ("Patient", "_count=7&name=s&_sort=birthdate"),
    ("Patient", "_count=7&name=smi,jo"),
    ("Patient", "_count=1&family:exact=Smith"),
    ("Patient", "_count=7&_sort=family"),
    ("Patient", "_count=7&_sort=-family,given"),
    ("Patient", "_count=7&_sort=family&birthdate=ge1975"),
    ("Patient", "_count=7&_sort=family&name=s"),
    ("Patient", "_count=3&_sort=-phonetic,-birthdate,_id"),
    ("Patient", "_count=7&_sort=_id&birthdate=ge1975"),
    ("Observation", "_count=7&_sort=status"),
    ("Observation", "_count=7&_sort=-code,subject"),
    ("Observation", "_count=7&_sort=patient"),
    ("Observation", "_count=7&_sort=-patient,value-quantity,-date"),
    ("Observation", "_count=7&_sort=code&value-quantity=gt20"),
    ("Organization", "_count=3&_sort=name"),
    ("", "_count=7&_type=Patient,Organization&_sort=-name"),
    ("Patient", "_count=7&_sort=_id"),
    ("Patient", "_count=7&_sort=-_id"),
    ("Patient", "_count=7&_sort=_lastUpdated"),
    ("Patient", "_count=7&_sort=-_lastUpdated"),
    ("Patient", "_count=7&_sort=birthdate"),
    ("Patient", "_count=2&_id=p1,p2,p3,p999"),
    ("Patient", "_count=7&name:missing=true"),
    ("", "_count=50"),
    ("", "_count=7&_type=Patient,Organization&name=smi"),
    ("", "_count=7&_type=Patient,Organization&_sort=_id"),
    ("", "_count=7&_type=Patient,Organization&_sort=-_lastUpdated"),
    ("", "_count=70&_lastUpdated=ge2024-06-01T01:00:00Z"),
]


@pytest.mark.parametrize(("kind", "text"), QUERIES)
def test_all_pages_together_are_all_matches(kind: str, text: str, people: Documents) -> None:
    query = asked(kind, text)
    found = pages(people, query, through_cursor)
    listed = [each for page in found for each in page]
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(f"{each['rt']}/{each['id']}" for each in all_matching(people, query))
    assert all(len(page) == query.count for page in found[:-1])


def dates(code: str, field: str) -> Callable[[dict[str, Any]], list[Any]]:
    return lambda each: [row["s" if field == "dat" else "v"] for row in each[field] if row["p"].rstrip("~") == code]


def entries(code: str, field: str) -> Callable[[dict[str, Any]], list[Any]]:
    return lambda each: [entry for entry in each[field] if entry.startswith(f"{code}:")]


ORDERS: list[tuple[str, str, Callable[[dict[str, Any]], list[Any]]]] = [
    ("Observation", "date", dates("date", "dat")),
    ("Observation", "value-quantity", dates("value-quantity", "num")),
    ("Observation", "status", entries("status", "tok")),
    ("Observation", "code", entries("code", "tok")),
    ("Observation", "subject", lambda each: [entry for entry in each["tok"] if entry.startswith("subject=")]),
    ("Observation", "_lastUpdated", lambda each: [each["lu"]]),
    ("Patient", "birthdate", dates("birthdate", "dat")),
    ("Patient", "family", entries("family", "str")),
    ("Patient", "_id", lambda each: [each["id"]]),
]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("kind", "code", "values"), ORDERS)
def test_rows_are_sorted_and_what_is_missing_comes_last(
    kind: str, code: str, values: Callable[[dict[str, Any]], list[Any]], down: bool, people: Documents
) -> None:
    query = asked(kind, f"_count=13&_sort={'-' if down else ''}{code}")
    known = {f"{each['rt']}/{each['id']}": values(each) for each in people.find({"rt": kind})}
    listed = [known[each] for page in pages(people, query) for each in page]
    present = [(max if down and code != "date" else min)(each) for each in listed if each]
    assert present == sorted(present, reverse=down)
    assert listed[len(present) :] == [[]] * (len(listed) - len(present))


def test_a_string_search_comes_in_the_order_of_its_strings(people: Documents) -> None:
    found = pages(people, asked("Patient", "family=smi&_count=9"))
    known = {each["id"]: each["str"] for each in people.find({"rt": "Patient"})}
    first = [
        min(s for s in known[each.partition("/")[2]] if s.startswith("family:smi")) for page in found for each in page
    ]
    assert first == sorted(first)
    assert len(first) > 20


def test_newest_first_where_no_order_is_asked_for(people: Documents) -> None:
    (found,) = pages(people, asked("Observation", "code=8867-4&date:missing=false&_count=1000"))
    known = {f"Observation/{each['id']}": each["d"] for each in people.find({"rt": "Observation"})}
    assert [known[each] for each in found] == sorted((known[each] for each in found), reverse=True)


LONG = "\U0001f600" * 3000


def test_texts_of_any_length_make_a_link_that_works(mongo_url: str, database_name: str) -> None:
    people = [
        {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"{LONG}{number}", "given": [LONG]}]}
        for number in range(3)
    ]
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        prepare(client[database_name].long, map(document, people))
        for text in ("_sort=family", "_sort=-family,given", "_sort=-given"):
            found = pages(client[database_name].long, asked("Patient", f"_count=1&{text}"), through_cursor)
            assert sorted(found) == [["Patient/p0"], ["Patient/p1"], ["Patient/p2"]]
