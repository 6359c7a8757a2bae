"""Random resources, random queries: MongoDB finds by the filter exactly what is found by looking at each resource.

`FHIR_TEST_PAIRS` says how many pairs of resource and query are compared, `FHIR_TEST_SEED` from where they are drawn.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from fhir_server.fhir import definitions, json
from fhir_server.search.parse import parse
from fhir_server.search.registry import parameters
from tests.search import arbitrary, naive, random_queries
from tests.search.arbitrary import BASE
from tests.search.collection import Documents, document, pages, prepare

PAIRS = int(os.environ.get("FHIR_TEST_PAIRS", "30000"))
SEED = int(os.environ.get("FHIR_TEST_SEED", "4"))
NOW = datetime(2024, 6, 1, tzinfo=UTC)

DRAWN = 24
"""Resources of each type that are drawn."""
EXAMPLES = 16
"""Resources of each type that are official examples."""
SHORT = 20_000
"""Bytes; longer examples are mostly definitions of one and the same kind."""
INLINE = frozenset({"Bundle", "Parameters"})
"""Types that hold other resources in place of references."""

pytestmark = pytest.mark.slow

Resource = dict[str, Any]


@dataclass
class Population:
    """Resources by type, and what they have for values, looked up once."""

    of_type: dict[str, list[Resource]]
    _values: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)

    def values(self, resource: Resource, expression: str) -> list[Any]:
        key = (resource["resourceType"], resource["id"], expression)
        if key not in self._values:
            self._values[key] = naive.extracted(resource, expression)
        return self._values[key]

    def all_values(self, resource_type: str, code: str) -> list[Any]:
        expression = definitions.search_parameters(resource_type)[code].expression
        return [value for each in self.of_type[resource_type] for value in self.values(each, expression)]

    def finds(self, resource_type: str, query: random_queries.Query) -> set[str]:
        listed = self.of_type[resource_type]
        return {each["id"] for each in listed if naive.finds(each, query, BASE, NOW, self.values)}


def _examples(package: Path) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = defaultdict(list)
    for path in sorted(package.glob("*-*.json"), key=lambda path: (path.stat().st_size, path.name)):
        if path.stat().st_size < SHORT:
            resource = json.trusted(path.read_bytes())
            listed = found[resource["resourceType"]]
            if len(listed) < EXAMPLES:
                listed.append({**resource, "id": f"example-{len(listed)}"})
    return found


def _stamped(resource: Resource, chance: random.Random) -> Resource:
    moment = NOW - timedelta(minutes=chance.randrange(100_000))
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**resource, "meta": {**resource.get("meta", {}), "lastUpdated": stamp}}


@pytest.fixture(scope="module")
def population(r4_package: Path) -> Population:
    chance = random.Random(SEED)
    examples = _examples(r4_package)
    types = sorted(definitions.resource_types() - INLINE)
    return Population(
        {
            each: [
                _stamped(resource, chance)
                for resource in (
                    *(arbitrary.resource(chance, each, f"drawn-{number}") for number in range(DRAWN)),
                    *examples[each],
                )
            ]
            for each in types
        }
    )


@pytest.fixture(scope="module")
def stored(population: Population, mongo_url: str, database_name: str) -> Iterator[Documents]:
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        collection = client[database_name].resources
        resources = (each for listed in population.of_type.values() for each in listed)
        prepare(collection, (_document(each) for each in resources))
        yield collection


def _document(resource: Resource) -> dict[str, Any]:
    return document(resource, BASE, datetime.fromisoformat(resource["meta"]["lastUpdated"]))


def found(collection: Documents, resource_type: str, query: random_queries.Query) -> list[str]:
    wanted = parse((resource_type,), [*query, ("_count", "1000")], lenient=False, base=BASE, now=NOW)
    return [each.partition("/")[2] for page in pages(collection, wanted) for each in page]


def test_mongodb_finds_what_looking_finds(
    population: Population, stored: Documents, counted: Callable[[str, int], None]
) -> None:
    chance = random.Random(SEED)
    types = sorted(population.of_type)
    tally: Counter[str] = Counter()
    kinds: set[str] = set()
    different: list[tuple[str, random_queries.Query, object]] = []
    while tally["pairs"] < PAIRS:
        resource_type = types[tally["queries"] % len(types)]
        query = random_queries.drawn(chance, resource_type, lambda code: population.all_values(resource_type, code))  # noqa: B023
        expected, listed = population.finds(resource_type, query), found(stored, resource_type, query)
        if sorted(expected) != sorted(listed):
            different.append((resource_type, query, sorted(expected ^ set(listed))))
        tally += Counter(queries=1, pairs=len(population.of_type[resource_type]), true=len(expected))
        kinds |= {_kind(resource_type, name) for name, _ in query}
    counted("random pairs of resource and query compared", tally["pairs"])
    counted("of these pairs true", tally["true"])
    counted("random queries", tally["queries"])
    counted("kinds of parameter with their modifiers among random queries", len(kinds))
    counted("of these pairs decided differently", len(different))
    assert not different, "\n".join(map(str, different[:20]))


def _kind(resource_type: str, name: str) -> str:
    code, _, modifier = name.partition(":")
    return f"{parameters(resource_type)[code].kind}:{modifier[:1].isupper() or modifier}"
