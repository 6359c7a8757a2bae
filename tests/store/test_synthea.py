"""Conditions on other resources and includes over whole charts, against an evaluator without index and queries."""

from __future__ import annotations

import gzip
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.fhir import definitions, json
from fhir_server.fhir.resource import Resource
from fhir_server.search.include import parse as include_of
from fhir_server.search.plan import plan
from fhir_server.store.connection import opened
from fhir_server.store.repository import Repository
from tests.search import naive
from tests.store.conftest import as_system
from tests.store.resources import BASE
from tests.store.test_joins import asked, ids

NOW = datetime(2024, 6, 1, tzinfo=UTC)
CHARTS = 12
VALUES = 4
"""Values by which each condition is tried."""

CHAINS = [
    ("Observation", "subject:Patient.gender"),
    ("Observation", "subject.gender:not"),
    ("Observation", "patient.family"),
    ("Observation", "patient.birthdate"),
    ("Observation", "encounter.class"),
    ("Observation", "encounter.date"),
    ("Observation", "encounter.participant:Practitioner.family"),
    ("Observation", "encounter.patient.family"),
    ("Observation", "encounter.service-provider.name"),
    ("Condition", "encounter.type"),
    ("Condition", "patient.address-city"),
    ("DiagnosticReport", "result.code"),
    ("DiagnosticReport", "result.encounter.type"),
    ("DiagnosticReport", "result.encounter.patient.given"),
    ("MedicationRequest", "requester:Practitioner.given"),
    ("Claim", "provider:Organization.name"),
    ("Encounter", "participant:Practitioner.name"),
    ("Encounter", "patient.death-date:missing"),
    ("Patient", "_has:Observation:patient:code"),
    ("Patient", "_has:Condition:patient:code"),
    ("Patient", "_has:Encounter:patient:type"),
    ("Patient", "_has:Immunization:patient:vaccine-code"),
    ("Patient", "_has:Encounter:patient:_has:Observation:encounter:code"),
    ("Patient", "_has:Encounter:patient:participant:Practitioner.family"),
    ("Practitioner", "_has:Encounter:participant:type"),
    ("Practitioner", "_has:Encounter:participant:_has:Condition:encounter:code"),
    ("Organization", "_has:Encounter:service-provider:class"),
    ("Encounter", "_has:Observation:encounter:code"),
    ("Encounter", "patient._has:Condition:patient:code"),
    ("Observation", "_has:DiagnosticReport:result:code"),
    ("Observation", "_has:DiagnosticReport:result:encounter.type"),
]

INCLUDES = [
    ("Observation", ["_include=Observation:encounter"]),
    ("DiagnosticReport", ["_include=DiagnosticReport:result", "_include:iterate=Observation:encounter"]),
    ("Encounter", ["_include=*", "_revinclude=*"]),
    ("Patient", ["_revinclude=Condition:patient", "_include:iterate=Condition:encounter"]),
    ("Practitioner", ["_revinclude=Encounter:participant", "_revinclude:iterate=Observation:encounter"]),
]


class Charts:
    """The resources by `Type/id`, and what is asked of them by following references one by one."""

    def __init__(self, resources: list[Resource]) -> None:
        self.of_type: dict[str, list[Resource]] = defaultdict(list)
        self.by_key = {f"{each['resourceType']}/{each['id']}": each for each in resources}
        for each in resources:
            self.of_type[each["resourceType"]].append(each)
        self._values: dict[tuple[str, str], list[Any]] = {}

    def values(self, resource: Resource, code: str) -> list[Any]:
        key = (f"{resource['resourceType']}/{resource['id']}", code)
        if key not in self._values:
            known = definitions.search_parameters(resource["resourceType"])
            self._values[key] = naive.extracted(resource, known[code].expression) if code in known else []
        return self._values[key]

    def referred(self, resource: Resource, code: str) -> list[str]:
        return [each.get("reference", "") for each in self.values(resource, code) if isinstance(each, dict)]

    def finds(self, resource: Resource, name: str, value: str) -> bool:
        own = f"{resource['resourceType']}/{resource['id']}"
        if name.startswith("_has:"):
            _, source, code, rest = name.split(":", 3)
            others = self._referring.get((source, code, own), [])
            return any(self.finds(each, rest, value) for each in others)
        head, dot, rest = name.partition(".")
        if not dot:
            known = name.partition(":")[0] in definitions.search_parameters(resource["resourceType"])
            return known and naive.finds(resource, [(name, value)], BASE, NOW)
        code, _, named = head.partition(":")
        reached = [self.by_key[each] for each in self.referred(resource, code) if each in self.by_key]
        return any(self.finds(each, rest, value) for each in reached if named in ("", each["resourceType"]))

    @cached_property
    def _referring(self) -> dict[tuple[str, str, str], list[Resource]]:
        found: dict[tuple[str, str, str], list[Resource]] = defaultdict(list)
        connected = {(source, code) for _, name in CHAINS for source, code in _connections(name)}
        for source, code in connected:
            for each in self.of_type[source]:
                for reference in set(self.referred(each, code)):
                    found[source, code, reference].append(each)
        return found

    def included(self, keys: set[str], includes: list[str]) -> set[str]:
        """Every reference of every resource, looked at again and again."""
        rules = [include_of(*each.split("=")) for each in includes]
        found: set[str] = set()
        reached, active = keys, rules
        while reached:
            fresh = {key for rule in active for key in self._brought(rule, reached)} - keys - found
            found |= fresh
            reached, active = fresh, [rule for rule in rules if rule.iterate]
        return found

    def _brought(self, rule: Any, keys: set[str]) -> Iterator[str]:
        for key, each in self.by_key.items():
            for code in rule.codes(each["resourceType"]):
                for reference in self.referred(each, code):
                    if rule.reverse and reference in keys:
                        yield key
                    elif not rule.reverse and key in keys and reference in self.by_key:
                        yield reference


def _connections(name: str) -> Iterator[tuple[str, str]]:
    parts = name.split("_has:")[1:]
    for each in parts:
        source, code, *_ = each.split(":")
        yield source, code


class Stored(NamedTuple):
    repository: Repository
    charts: Charts


def _smallest(folder: Path) -> list[Path]:
    return sorted(folder.glob("patient-*.json.gz"), key=lambda path: path.stat().st_size)[:CHARTS]


def _resources(path: Path) -> Iterator[Resource]:
    """The entries of a bundle under ids of their own, their placeholders replaced by literal references."""
    text = gzip.decompress(path.read_bytes()).decode()
    for entry in json.trusted(text.encode())["entry"]:
        resource = entry["resource"]
        text = text.replace(f'"{entry["fullUrl"]}"', f'"{resource["resourceType"]}/{resource["id"]}"')
    for entry in json.trusted(text.encode())["entry"]:
        yield entry["resource"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stored(synthea: Path, mongo_url: str) -> AsyncIterator[Stored]:
    unique = {(each["resourceType"], each["id"]): each for path in _smallest(synthea) for each in _resources(path)}
    name = f"test_{uuid4().hex}"
    async with opened(mongo_url=mongo_url, database=name) as store, AsyncMongoClient[Any](mongo_url) as client:
        repository = as_system(store, await store.tenants.create("charts"))
        await repository.put_many(list(unique.values()))
        yield Stored(repository, Charts(list(unique.values())))
        await client.drop_database(name)


def _ends(charts: Charts, resource_type: str, name: str, chance: random.Random) -> list[str]:
    """Values that the parameter at the end of a condition has somewhere, and one that it has nowhere."""
    *_, code = name.removesuffix(":not").replace(".", ":").split(":")
    if code == "missing":
        return ["true", "false"]
    texts = {text for each in charts.by_key.values() for value in charts.values(each, code) for text in _texts(value)}
    return [*chance.sample(sorted(texts), min(VALUES, len(texts))), "1801" if "date" in code else "nothing"]


def _texts(value: Any) -> Iterator[str]:
    """Something to search a value by."""
    if isinstance(value, str):
        yield value[:10]
    elif isinstance(value, dict):
        yield from (each["code"] for each in value.get("coding", [value] if "code" in value else []))
        yield from (value[each] for each in ("family", "city") if each in value)
        yield from (f"ge{value[each][:10]}" for each in ("start",) if each in value)
        yield from value.get("given", ())


@pytest.mark.parametrize(("resource_type", "name"), CHAINS)
async def test_conditions_find_what_following_references_finds(
    stored: Stored, resource_type: str, name: str, counted: Callable[[str, int], None]
) -> None:
    charts = stored.charts
    for value in _ends(charts, resource_type, name, random.Random(name)):
        expected = {each["id"] for each in charts.of_type[resource_type] if charts.finds(each, name, value)}
        found = await ids(stored.repository, f"{resource_type}?{name}={quote(value)}&_count=500")
        assert len(found) == len(set(found))
        assert set(found) == expected, value
        counted("of them true", len(expected))
        counted("pairs of resource and condition on others compared", len(charts.of_type[resource_type]))


@pytest.mark.parametrize(("resource_type", "includes"), INCLUDES)
async def test_includes_bring_what_following_references_brings(
    stored: Stored, resource_type: str, includes: list[str], counted: Callable[[str, int], None]
) -> None:
    query = asked(f"{resource_type}?_count=3&{'&'.join(includes)}")
    page = await stored.repository.search(plan(query))
    matches = page.versions
    found = await stored.repository.included(matches, query.includes, 100_000)
    expected = stored.charts.included({f"{resource_type}/{each.resource_id}" for each in matches}, includes)
    keys = [f"{each.resource_type}/{each.resource_id}" for each in found.versions]
    assert len(keys) == len(set(keys))
    assert (set(keys), found.complete) == (expected, True)
    assert expected
    counted("included resources compared", len(expected))
