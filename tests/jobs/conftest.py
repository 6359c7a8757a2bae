"""A store without a worker, so that a job runs when a test wants it to; and the data as another process sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.table import context, perform
from fhir_server.jobs import reindex, worker
from fhir_server.store.connection import Store, opened
from fhir_server.store.jobs import new_owner
from fhir_server.store.repository import Repository

_NUMBERS = count(1)
KINDS = {reindex.KIND: reindex.run}
FAVOURITE = "http://example.org/favourite"


@pytest.fixture(scope="module")
async def store(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        yield found


@pytest.fixture(scope="module")
async def other(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    """Another process: it learns of changes when it looks, and not before."""
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        yield found


@pytest.fixture
async def tenant(store: Store) -> str:
    return (await store.tenants.create(f"j{next(_NUMBERS)}")).name


def patient(resource_id: str, favourite: str = "red") -> dict[str, Any]:
    extension = [{"url": FAVOURITE, "valueCode": favourite}]
    return {"resourceType": "Patient", "id": resource_id, "extension": extension}


def parameter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter",
        "id": "favourite",
        "url": "http://example.org/sp/favourite",
        "name": "favourite",
        "description": "The favourite colour",
        "status": "active",
        "code": "favourite",
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension('{FAVOURITE}').value",
        **more,
    }


async def seen(store: Store, tenant: str) -> Repository:
    """The tenant as this process remembers it."""
    found = await store.tenants.get(tenant)
    assert found is not None
    return store.repository(found, Caller.system(tenant, "test"))


async def ask(store: Store, tenant: str, request: str, resource: dict[str, Any] | None = None) -> EntryResponse:
    method, _, url = request.partition(" ")
    await store.tenants.latest(tenant)
    base = f"http://fhir.example.org/fhir/{tenant}"
    ctx = context(await seen(store, tenant), base=base, cursor_key=b"k" * 32)
    return await perform(ctx, EntryRequest(method, url, resource))


async def total(store: Store, tenant: str, search: str) -> int:
    separator = "&" if parse_qsl(search.partition("?")[2]) else ""
    answer = await ask(store, tenant, f"GET {search}{separator}_summary=count")
    return int(str(answer.body).split('"total":')[1].split(",")[0].rstrip("}'"))


async def refusal(store: Store, tenant: str, request: str) -> FhirError:
    with pytest.raises(FhirError) as problem:
        await ask(store, tenant, request)
    return problem.value


async def work(store: Store) -> None:
    """Everything that waits."""
    while await worker.one(store, KINDS, new_owner(), share=1.0):
        pass
