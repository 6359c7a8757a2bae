"""$everything beside a naive computation over whole Synthea records, and its pages beside one answer."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir import definitions, json
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.search.index import index
from fhir_server.store.connection import Store
from tests.interactions.conftest import Tenant, ask, seen_by

Key = tuple[str, str]
_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[0-9]+)?\Z")


async def _loaded(tenant: Tenant, synthea: Path, number: int) -> tuple[Context, dict[Key, dict[str, Any]]]:
    """A tenant with the first records, and all that it holds, as a search of everything finds it."""
    ctx = await tenant(references="free")
    for raw in _bundles(synthea, number):
        await ask(ctx, "POST ", json.parse(raw))
    found: dict[Key, dict[str, Any]] = {}
    async for resource in _walk(ctx, "?_count=1000"):
        found[resource["resourceType"], resource["id"]] = resource
    return ctx, found


def _bundles(synthea: Path, number: int) -> list[bytes]:
    return [gzip.decompress(file.read_bytes()) for file in sorted(synthea.glob("patient-*.json.gz"))[:number]]


async def _walk(ctx: Context, url: str) -> AsyncIterator[dict[str, Any]]:
    reached: str | None = url
    while reached:
        bundle = json.trusted((await ask(ctx, f"GET {reached}")).body or b"")
        for entry in bundle.get("entry", []):
            yield entry["resource"]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        reached = following[0].removeprefix(f"{ctx.base}/").removeprefix(ctx.base) if following else None


async def _keys(ctx: Context, url: str) -> list[Key]:
    return [(each["resourceType"], each["id"]) async for each in _walk(ctx, url)]


def naive(resources: dict[Key, dict[str, Any]], patient: str) -> set[Key]:
    """What the CompartmentDefinition puts into the record, and what that points to outside of all records."""
    own = {key for key, each in resources.items() if _belongs(key, each, patient)}
    owned = {key for key, each in resources.items() if index(each).compartments}
    referred = {key for each in own for key in _pointed_to(resources[each])}
    return own | {key for key in referred if key in resources and key not in owned}


def _belongs(key: Key, resource: dict[str, Any], patient: str) -> bool:
    if key == ("Patient", patient):
        return True
    codes = definitions.compartment("Patient").get(key[0], ())
    tokens = index(resource).tokens
    return any(f"{code}=Patient/{patient}" in tokens for code in codes)


def _pointed_to(value: Any) -> Iterator[Key]:
    if isinstance(value, list):
        for each in value:
            yield from _pointed_to(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            local = _LOCAL.match(each) if name in ("reference", "url") and isinstance(each, str) else None
            if local:
                yield local[1], local[2]
            yield from _pointed_to(each)


async def test_it_is_what_a_naive_computation_finds(tenant: Tenant, store: Store, synthea: Path) -> None:
    ctx, resources = await _loaded(tenant, synthea, 3)
    for resource_type, patient in [key for key in resources if key[0] == "Patient"]:
        expected = naive(resources, patient)
        assert len(expected) > 50
        whole = await _keys(ctx, f"{resource_type}/{patient}/$everything")
        assert sorted(whole) == sorted(expected)
        paged = await _keys(ctx, f"{resource_type}/{patient}/$everything?_count=37")
        assert paged == whole
        own = seen_by(store, ctx, "patient/*.rs", patient=patient)
        assert set(await _keys(own, "Patient/$everything?_count=100")) <= expected


async def test_of_every_patient_it_is_all_of_them_together(tenant: Tenant, synthea: Path) -> None:
    ctx, resources = await _loaded(tenant, synthea, 2)
    patients = [key[1] for key in resources if key[0] == "Patient"]
    found = await _keys(ctx, "Patient/$everything?_count=211")
    assert sorted(found) == sorted(set().union(*(naive(resources, each) for each in patients)))


async def test_an_encounter_has_what_refers_to_it(tenant: Tenant, synthea: Path) -> None:
    ctx, resources = await _loaded(tenant, synthea, 1)
    encounters = [key for key in resources if key[0] == "Encounter"][:10]
    for encounter in encounters:
        found = await _keys(ctx, f"Encounter/{encounter[1]}/$everything?_count=5")
        members = {
            key
            for key, each in resources.items()
            if {f"encounter=Encounter/{encounter[1]}", f"context=Encounter/{encounter[1]}"} & set(index(each).tokens)
            and key[0] in definitions.compartment("Encounter")
        }
        referred = {key for each in (*members, encounter) for key in _pointed_to(resources[each])}
        assert sorted(found) == sorted(members | {encounter} | (referred & resources.keys()))


async def test_a_page_link_is_for_who_got_it(ctx: Context, store: Store) -> None:
    for number in range(3):
        observation = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "x"}}
        await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
        await ask(ctx, f"PUT Observation/o{number}", {**observation, "subject": {"reference": "Patient/p1"}})
    bundle = json.trusted((await ask(ctx, "GET Patient/p1/$everything?_count=2")).body or b"")
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    url = following.removeprefix(f"{ctx.base}/")
    assert (await ask(ctx, f"GET {url}")).status == 200
    with pytest.raises(FhirError) as refusal:
        await ask(seen_by(store, ctx, "user/*.rs"), f"GET {url}")
    assert refusal.value.status == 403
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, f"GET {url.replace('_count=2', '_count=3')}")
    assert refusal.value.status == 400
