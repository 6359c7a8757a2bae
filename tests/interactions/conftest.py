from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scopes
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.interactions.context import Context, Limits
from fhir_server.interactions.table import context, perform
from fhir_server.store.connection import Store, opened

BASE = "http://fhir.example.org/fhir"
KEY = b"k" * 32
_NUMBERS = count(1)

Tenant = Callable[..., Awaitable[Context]]


@pytest.fixture(scope="module")
async def store(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    async with opened(mongo_url=mongo_url, data_dir=None, memory=False, database=database_name) as store:
        yield store


@pytest.fixture
async def tenant(store: Store) -> Tenant:
    """Makes a new tenant, seen by a caller that may do everything."""

    async def make(limits: Limits | None = None, **settings: Any) -> Context:
        name = f"i{next(_NUMBERS)}"
        found = await store.tenants.create(name, settings=settings)
        repository = store.repository(found, Caller.system(name, "test"))
        return context(repository, base=f"{BASE}/{name}", cursor_key=KEY, limits=limits)

    return make


@pytest.fixture
async def ctx(tenant: Tenant) -> Context:
    return await tenant()


def seen_by(
    store: Store, ctx: Context, scopes: str, subject: str = "someone", patient: str | None = None, **more: Any
) -> Context:
    """The same tenant for another caller."""
    caller = Caller(ctx.repo.tenant.name, subject, "app", Scopes.parse(scopes).resources, patient, **more)
    return context(store.repository(ctx.repo.tenant, caller), base=ctx.base, cursor_key=ctx.cursor_key)


async def ask(ctx: Context, request: str, resource: dict[str, Any] | None = None, **more: Any) -> EntryResponse:
    """`ask(ctx, "GET Patient/p1")`"""
    method, _, url = request.partition(" ")
    return await perform(ctx, EntryRequest(method, url, resource, **more))


def transaction(*entries: tuple[str, dict[str, Any] | None], kind: str = "transaction") -> dict[str, Any]:
    """`transaction(("PUT Patient/p1", {...}))`"""
    listed = []
    for request, resource in entries:
        method, _, url = request.partition(" ")
        entry: dict[str, Any] = {"request": {"method": method, "url": url}}
        listed.append({**entry, "resource": resource} if resource else entry)
    return {"resourceType": "Bundle", "type": kind, "entry": listed}
