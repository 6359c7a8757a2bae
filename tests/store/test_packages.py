"""Packages in the store: what counts, what does not yet, and who has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.fhir.resource import Resource
from fhir_server.store.connection import Store
from fhir_server.store.packages import Package, _order
from fhir_server.store.tenants import Tenant

KIND = "StructureDefinition"


def definition(version: str, **more: Any) -> Resource:
    return {"resourceType": KIND, "url": "urn:p", "version": version, **more}


async def add(store: Store, tenant: Tenant | None, package: Package, *definitions: Resource) -> bool:
    return await store.packages.add(tenant, package, definitions, lambda _: None)


async def versions(store: Store, tenant: Tenant) -> list[str]:
    return [each["version"] for each in await store.packages.find(tenant, KIND, ["urn:p"])]


async def test_a_tenants_own_come_first_then_the_newest(store: Store) -> None:
    own, other = await store.tenants.create("pk-own"), await store.tenants.create("pk-other")
    await add(store, None, Package("pk-shared", "1", "d", 1), definition("9.0.0"))
    await add(store, own, Package("pk-a", "1", "d", 2), definition("2.0.0"), definition("10.0.0"))
    assert await versions(store, own) == ["10.0.0", "2.0.0", "9.0.0"]
    assert await versions(store, other) == ["9.0.0"]
    await store.packages.remove(None, "pk-shared")
    assert await versions(store, other) == []


async def test_one_that_is_interrupted_counts_for_nothing(store: Store) -> None:
    tenant = await store.tenants.create("pk-broken")

    def cut_short() -> Iterator[Resource]:
        yield from (definition(str(number)) for number in range(250))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await store.packages.add(tenant, Package("pk-b", "1", "d", 250), cut_short(), lambda _: None)
    assert await versions(store, tenant) == []
    assert await store.packages.loaded(tenant) == []
    assert await add(store, tenant, Package("pk-b", "1", "d", 1), definition("1"))
    assert await versions(store, tenant) == ["1"]


async def test_one_that_was_built_again_takes_the_place_of_the_other(store: Store) -> None:
    tenant = await store.tenants.create("pk-again")
    assert await add(store, tenant, Package("pk-c", "1", "old", 1), definition("1", title="old"))
    state = await store.packages.state(tenant)
    assert not await add(store, tenant, Package("pk-c", "1", "old", 1), definition("1", title="old"))
    assert await store.packages.state(tenant) == state
    assert await add(store, tenant, Package("pk-c", "1", "new", 1), definition("1", title="new"))
    assert await store.packages.state(tenant) != state
    assert [each["title"] for each in await store.packages.find(tenant, KIND, ["urn:p"])] == ["new"]
    assert len(await store.packages.loaded(tenant)) == 1


async def test_an_erased_tenant_leaves_no_package_behind(store: Store) -> None:
    tenant = await store.tenants.create("pk-gone")
    await add(store, tenant, Package("pk-d", "1", "d", 1), definition("1"))
    await store.tenants.erase("pk-gone")
    assert await store.common.definitions.count_documents({"t": "pk-gone"}) == 0
    assert await store.common.packages.count_documents({"t": "pk-gone"}) == 0


def test_versions_in_order() -> None:
    listed = ["10.0.0", "1.10.0", "1.2.0", "1.0.0", "1.0.0-ballot"]
    assert sorted(listed, key=_order) == listed[::-1]
