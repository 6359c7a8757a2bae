"""The searches that US Core asks for, of every version that is listed: by GET and by POST, for drawn resources.

What a search has to find is decided on the resources themselves. `FHIR_USCORE_SEARCHES` names the list.
http://hl7.org/fhir/us/core/CapabilityStatement-us-core-server.html
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from fhir_server.access.caller import Caller
from fhir_server.search.registry import parameters
from tests.conformance.site import Site
from tests.conftest import ROOT
from tests.search import arbitrary, naive
from tests.search.random_queries import Query

pytestmark = pytest.mark.slow

NOW = datetime(2024, 6, 1, tzinfo=UTC)
TENANT = "uscore"
EACH = 2
"""Resources that a search can find by all its parameters."""
MOST_DRAWN = 4_000
STAMP = "_lastUpdated"
SINCE = ["ge2020-01-01T00:00:00Z", "gt2020-01-01"]
"""What is true of everything that is stored in a test."""
FORM = "application/x-www-form-urlencoded"

Resource = dict[str, Any]
Search = tuple[str, tuple[str, ...]]


@pytest.fixture(scope="module")
def searches() -> set[Search]:
    """Resource type and parameters of each."""
    path = Path(os.environ.get("FHIR_USCORE_SEARCHES", ROOT.parent / "shared/data/uscore-searches.json"))
    if not path.exists():
        pytest.skip("the list of the searches of US Core is not here; FHIR_USCORE_SEARCHES names it")
    profiles = [profile for version in json.loads(path.read_text()).values() for profile in version["profiles"]]
    return {(each["resource"], tuple(search["params"])) for each in profiles for search in each["searches"]}


def known(search: Search) -> bool:
    """Whether R4 itself defines all its parameters."""
    return all(code in parameters(search[0]) for code in search[1])


def drawn(chance: random.Random, searches: set[Search]) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = defaultdict(list)
    for kind, codes in sorted(searches):
        fitting = 0
        for _ in range(MOST_DRAWN):
            resource = arbitrary.resource(chance, kind, f"r{len(found[kind])}", often=0.7)
            if all(written(chance, resource, code) for code in codes):
                found[kind].append(resource)
                fitting += 1
            if fitting == EACH:
                break
        assert fitting == EACH, (kind, codes)
    return found


def values(resource: Resource, code: str) -> list[Any]:
    (parameter,) = [
        each for each in naive.definitions.search_parameters(resource["resourceType"]).values() if each.code == code
    ]
    return [getattr(each, "asStr", each) for each in naive.extracted(resource, parameter.expression)]


def written(chance: random.Random, resource: Resource, code: str) -> list[str]:
    """A value of the resource in the forms in which it is asked for."""
    kind = parameters(resource["resourceType"])[code].kind
    if kind == STAMP:
        return SINCE
    forms = [list(FORMS[kind](each)) for each in values(resource, code)]
    return chance.choice([each for each in forms if each] or [[]])


def _tokens(value: Any) -> Iterator[str]:
    for system, code in naive._codes(value):
        if code and not {",", "|", "$"} & set(code):
            yield from [code, f"{system}|{code}"] if system else [code]


def _references(value: Any) -> Iterator[str]:
    target = value.get("reference", "") if isinstance(value, dict) else ""
    if isinstance(value, str):
        yield value.partition("|")[0]
    if target.count("/") == 1:
        yield from (target, target.partition("/")[2])


def _dates(value: Any) -> Iterator[str]:
    moment = value if isinstance(value, str) else value.get("start", value.get("end", ""))
    if moment[:4].isdigit():
        full = moment if "T" in moment else f"{(moment + '-01-01')[:10]}T10:00:00+02:00"
        yield from (moment, *(f"{prefix}{full}" for prefix in ("gt", "ge", "lt", "le")))


def _texts(value: Any) -> Iterator[str]:
    yield from (each[:5] for each in naive._texts(value) if each.isalpha())


FORMS: dict[str, Callable[[Any], Iterator[str]]] = {
    "token": _tokens,
    "reference": _references,
    "date": _dates,
    "string": _texts,
    "_id": lambda value: iter([value]),
}


class Asked:
    """One tenant, asked by GET and by POST."""

    def __init__(self, site: Site, token: str) -> None:
        self.client = site.client
        self.headers = {"Authorization": f"Bearer {token}"}

    async def get(self, kind: str, query: Query) -> tuple[int, set[str]]:
        text = urlencode(query, quote_via=quote)
        return _found(await self.client.get(f"/fhir/{TENANT}/{kind}?{text}", headers=self.headers))

    async def post(self, kind: str, query: Query) -> tuple[int, set[str]]:
        headers = {**self.headers, "Content-Type": FORM}
        answer = await self.client.post(f"/fhir/{TENANT}/{kind}/_search", content=urlencode(query), headers=headers)
        return _found(answer)


def _found(answer: Any) -> tuple[int, set[str]]:
    entries = [each for each in answer.json().get("entry", []) if each["search"]["mode"] == "match"]
    return answer.status_code, {each["resource"]["id"] for each in entries}


async def test_every_search_of_uscore(site: Site, searches: set[Search], counted: Callable[[str, int], None]) -> None:
    chance = random.Random(1)
    works = {each for each in searches if known(each)}
    population = drawn(chance, works)
    store = site.app.state.store
    tenant = await store.tenants.create(TENANT)
    repository = store.repository(tenant, Caller.system(TENANT, "searches of US Core"))
    await repository.put_many([each for listed in population.values() for each in listed])
    asked = Asked(site, await site.token(TENANT))
    seen: dict[tuple[int, str], list[Any]] = {}
    tried = 0

    def looked_up(resource: Resource, expression: str) -> list[Any]:
        key = (id(resource), expression)
        if key not in seen:
            seen[key] = naive.extracted(resource, expression)
        return seen[key]

    for kind, codes in sorted(works):
        for query in queries(chance, population[kind], codes):
            own = [each for each in query if each[0] != STAMP]
            expected = {each["id"] for each in population[kind] if naive.finds(each, own, "", NOW, looked_up)}
            assert await asked.get(kind, [*query, ("_revinclude", "Provenance:target")]) == (200, expected), query
            assert await asked.post(kind, [*query, ("_count", "1000")]) == (200, expected), query
            tried += 1
    for kind, codes in searches - works:
        assert (await asked.get(kind, [(code, "x") for code in codes]))[0] == 400, (kind, codes)
    counted("searches of US Core that work", len(works))
    counted("searches of US Core by a parameter of its own, refused by name", len(searches - works))
    counted("queries for them, by GET and by POST", tried)


def queries(chance: random.Random, listed: list[Resource], codes: tuple[str, ...]) -> Iterator[Query]:
    """Each form of each parameter beside some form of the others, and a list of two."""
    resource = next(each for each in reversed(listed) if all(written(chance, each, code) for code in codes))
    forms = {code: written(chance, resource, code) for code in codes}
    for code in codes:
        for text in forms[code]:
            yield [(each, text if each == code else forms[each][0]) for each in codes]
    yield [(code, f"{forms[code][0]},{_other(resource, code) or forms[code][0]}") for code in codes]


def _other(resource: Resource, code: str) -> str | None:
    """A value that nothing has; of a time, there is none."""
    return None if parameters(resource["resourceType"])[code].kind in ("date", STAMP) else "nothing"
