"""Records that are no resources."""

from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.tenants import Tenant


async def records(store: Store, name: str) -> tuple[Tenant, FeatureRecords]:
    tenant = await store.tenants.create(name)
    return tenant, FeatureRecords(store, tenant)


async def test_only_what_changed_is_written_again(store: Store) -> None:
    _, kept = await records(store, "writes-once")
    user = {"resourceType": "accounts/user", "id": "u1", "name": "ada"}
    assert await kept.put([user]) == {"u1"}
    assert await kept.put([user]) == set()
    assert await kept.put([{**user, "name": "grace"}]) == {"u1"}
    assert await kept.of("accounts/user") == [{"id": "u1", "name": "grace"}]


async def test_kinds_and_tenants_are_apart(store: Store) -> None:
    _, one = await records(store, "keeps-one")
    _, other = await records(store, "keeps-other")
    await one.put([{"resourceType": "accounts/user", "id": "u1"}, {"resourceType": "keys/legacy", "id": "u1"}])
    assert await one.of("keys/legacy") == [{"id": "u1"}]
    assert await other.of("accounts/user") == []
    assert not await other.delete("accounts/user", "u1")
    assert await one.delete("accounts/user", "u1")
    assert await one.of("accounts/user") == []


async def test_erasing_a_tenant_erases_its_records(store: Store) -> None:
    tenant, kept = await records(store, "goes-away")
    await kept.put([{"resourceType": "accounts/user", "id": "u1"}])
    await store.tenants.erase(tenant.name)
    assert await kept.of("accounts/user") == []
