"""Every row of cases/*.yaml, three times: decided on the resource itself, on its index in memory, and by MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from pymongo import MongoClient

from fhir_server.fhir.outcome import FhirError
from fhir_server.search.match import matches
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.search.types import words
from tests.search import naive
from tests.search.collection import Documents, document, pages, prepare

NOW = datetime(2024, 6, 1, tzinfo=UTC)
BASE = "https://ehr.example/fhir/acme"


class _Strict(yaml.SafeLoader):
    """Dates stay the strings that they are in JSON."""


_Strict.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

TABLES = {
    path.stem: yaml.load(path.read_text(), _Strict) for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
}
CASES = [
    pytest.param(name, case, id=f"{name}: {case['title']}") for name, table in TABLES.items() for case in table["cases"]
]


def resources(name: str) -> list[dict[str, Any]]:
    table = TABLES[name]
    stamped = [{"resourceType": table["type"], **each} for each in table["given"]]
    return [{**each, "meta": {**each.get("meta", {}), "lastUpdated": "2024-06-01T00:00:00.000Z"}} for each in stamped]


def worded(resource: dict[str, Any]) -> dict[str, Any]:
    return {**document(resource, BASE), words.FIELD: words.entries(resource)}


def asked(name: str, case: dict[str, Any]) -> Query:
    return parse((TABLES[name]["type"],), parse_qsl(case["query"]), lenient=False, base=BASE, now=NOW, words=True)


@pytest.fixture(scope="module")
def collections(mongo_url: str, database_name: str) -> Iterator[dict[str, Documents]]:
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        found = {name: client[database_name][name] for name in TABLES}
        for name, collection in found.items():
            prepare(collection, [worded(each) for each in resources(name)])
        yield found


@pytest.mark.parametrize(("name", "case"), CASES)
def test_mongodb_finds(name: str, case: dict[str, Any], collections: dict[str, Documents]) -> None:
    if "status" in case:
        with pytest.raises(FhirError) as refused:
            asked(name, case)
        assert refused.value.status == case["status"]
        return
    found = [each.partition("/")[2] for page in pages(collections[name], asked(name, case)) for each in page]
    assert sorted(found) == sorted(case["finds"])


@pytest.mark.parametrize(("name", "case"), [case for case in CASES if "status" not in case.values[1]])
def test_the_index_in_memory_agrees(name: str, case: dict[str, Any]) -> None:
    wanted = plan(asked(name, case)).criteria
    assert sorted(each["id"] for each in resources(name) if matches(worded(each), wanted)) == sorted(case["finds"])


@pytest.mark.parametrize(("name", "case"), [case for case in CASES if "status" not in case.values[1]])
def test_the_resource_itself_agrees(name: str, case: dict[str, Any]) -> None:
    query = parse_qsl(case["query"])
    found = [each["id"] for each in resources(name) if naive.finds(each, query, BASE, NOW)]
    assert sorted(found) == sorted(case["finds"])
