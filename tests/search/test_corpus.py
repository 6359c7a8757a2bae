"""The official examples: whatever a search parameter extracts from one of them, a search by it finds that example.

The values are extracted by a general FHIRPath engine, the resources are found by MongoDB.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from fhir_server.fhir import definitions, json
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.registry import INDEX, parameters
from tests.search import naive
from tests.search.collection import Documents, document, prepare, rows
from tests.search.queries import finding

NOW = datetime(2024, 6, 1, tzinfo=UTC)
EXAMPLES_ENOUGH = 2
"""Examples by which each parameter is tried."""
EXAMPLES_READ = 400
"""Examples of a type among which values are looked for."""
MAY_BE_TEXT = frozenset({"activity-date"})
"""Date parameters on elements that may also be a string, which is no date whatever it says."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def examples(r4_package: Path) -> dict[str, list[dict[str, Any]]]:
    """By type, under ids of their own: some files repeat an id."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(r4_package.glob("*-*.json")):
        resource = json.trusted(path.read_bytes())
        resource_id = f"{path.stem[-50:]}-{len(found[resource['resourceType']])}".replace("_", "-").lstrip("-")
        found[resource["resourceType"]].append({**resource, "id": resource_id})
    return found


@pytest.fixture(scope="module")
def stored(examples: dict[str, list[dict[str, Any]]], mongo_url: str, database_name: str) -> Iterator[Documents]:
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        collection = client[database_name].resources
        prepare(collection, (_stored(each) for listed in examples.values() for each in listed))
        yield collection


def _stored(resource: dict[str, Any]) -> dict[str, Any]:
    updated = resource.get("meta", {}).get("lastUpdated")
    return document(resource, updated=datetime.fromisoformat(updated) if updated else NOW)


def found(collection: Documents, resource: dict[str, Any], query: list[tuple[str, str]]) -> bool:
    wanted = parse((resource["resourceType"],), query, lenient=False, base="", now=NOW)
    position = None
    while True:
        planned = plan(wanted, position)
        listed = rows(collection, planned)
        if any(each["id"] == resource["id"] for each in listed):
            return True
        if len(listed) <= planned.limit:
            return False
        position = planned.position_of(listed[planned.limit - 1])


def values(resource: dict[str, Any], code: str) -> list[Any]:
    definition = definitions.search_parameters(resource["resourceType"])[code]
    if definition.type == "composite":
        return naive.composed(resource, code)
    listed = [getattr(each, "asStr", each) for each in naive.extracted(resource, definition.expression)]
    return [each for each in listed if not isinstance(each, str)] if code in MAY_BE_TEXT else listed


def test_every_parameter_finds_what_it_extracts(
    examples: dict[str, list[dict[str, Any]]], stored: Documents, counted: Callable[[str, int], None]
) -> None:
    supported = tried = queries = 0
    lost = []
    works, proved = set(), set()
    for resource_type in sorted(definitions.resource_types()):
        for code, parameter in parameters(resource_type).items():
            supported += 1
            works.add(parameter.url)
            asked = 0
            for resource in examples[resource_type][:EXAMPLES_READ]:
                query = next((q for each in values(resource, code) if (q := finding(resource_type, code, each))), None)
                if query and asked < EXAMPLES_ENOUGH:
                    asked += 1
                    if not found(stored, resource, query):
                        lost.append((resource_type, resource["id"], query))
                if asked == EXAMPLES_ENOUGH:
                    break
            tried += bool(asked)
            proved.update([parameter.url] if asked else [])
            queries += asked
    counted("search parameters of the eight types that work", len(works))
    counted("search parameters that work, by resource type", supported)
    counted("search parameters that extract a value from an example and find it, by resource type", tried)
    counted("searches for an example by a value extracted from it, none in vain", queries)
    counted("search parameters that extract a value from an example and find it", len(proved))
    assert not lost, "\n".join(map(str, lost))


def test_all_parameters_of_the_eight_types_work() -> None:
    """Of each parameter defined on a type, only special ones are left out."""
    missing = [
        (resource_type, code)
        for resource_type in definitions.resource_types()
        for code, each in definitions.search_parameters(resource_type).items()
        if each.type in (*INDEX, "composite") and code not in parameters(resource_type)
    ]
    assert missing == []
