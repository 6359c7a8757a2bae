"""A store on the real MongoDB, and tenants in it that no other test uses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.access.caller import Caller
from fhir_server.fhir.resource import Resource
from fhir_server.store.connection import Store, opened
from fhir_server.store.repository import Repository
from fhir_server.store.tenants import Tenant

_numbers = count(1)


@pytest_asyncio.fixture(scope="session")
async def store(mongo_url: str) -> AsyncIterator[Store]:
    database = f"test_{uuid4().hex}"
    async with opened(mongo_url=mongo_url, database=database) as found:
        yield found
    async with AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client:
        await client.drop_database(database)


@pytest_asyncio.fixture(scope="session")
async def memory_store() -> AsyncIterator[Store]:
    async with opened(memory=True) as found:
        yield found


@pytest_asyncio.fixture(params=["mongod", "memory"])
async def any_store(request: pytest.FixtureRequest, store: Store, memory_store: Store) -> Store:
    """For tests of what both must do alike."""
    return {"mongod": store, "memory": memory_store}[request.param]


async def new_tenant(store: Store) -> Tenant:
    return await store.tenants.create(f"tenant-{next(_numbers)}-{uuid4().hex[:8]}")


def as_system(store: Store, tenant: Tenant) -> Repository:
    return store.repository(tenant, Caller.system(tenant.name, "test"))


@pytest_asyncio.fixture
async def repository(store: Store) -> Repository:
    return as_system(store, await new_tenant(store))


@pytest_asyncio.fixture
async def any_repository(any_store: Store) -> Repository:
    return as_system(any_store, await new_tenant(any_store))


class Filled(NamedTuple):
    store: Store
    repository: Repository
    profile: Any


@asynccontextmanager
async def profiled(mongo_url: str, *batches: list[Resource]) -> AsyncIterator[Filled]:
    """A database of its own, the same in two tenants, with MongoDB's record of how it ran each query."""
    name = f"test_{uuid4().hex}"
    async with (
        opened(mongo_url=mongo_url, database=name) as store,
        AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client,
    ):
        repository = as_system(store, await store.tenants.create("acme"))
        other = as_system(store, await store.tenants.create("other"))
        for each in (repository, other):
            for batch in batches:
                await each.put_many(batch)
        await client[name].command("profile", 2)
        yield Filled(store, repository, client[name]["system.profile"])
        await client[name].command("profile", 0)
        await client.drop_database(name)
