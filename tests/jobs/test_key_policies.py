"""Policies of keys, and rounds: one process looks, a key that is due is replaced, what it sealed is sealed anew."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import pytest_asyncio

from fhir_server.crypto.rotation import CEILING
from fhir_server.jobs import key_policies, reencrypt, rounds
from fhir_server.jobs.rounds import Round
from fhir_server.store.connection import Store, opened
from fhir_server.store.key_records import LEGACY, POLICY, REPORTED, KeyRecords
from fhir_server.store.tenants import Tenant

_NUMBERS = count(1)


@pytest_asyncio.fixture
async def tenant(sealed: Store) -> Tenant:
    made = await sealed.tenants.create(f"kp{next(_NUMBERS)}")
    await sealed.key_versions(made).current()
    return made


async def aged(store: Store, tenant: Tenant, days: int = 0, uses: int = 0) -> None:
    change = {"$set": {"created": datetime.now(UTC) - timedelta(days=days), "uses": uses}}
    await store.common.encryption_keys.update_one({"_id": f"{tenant.name}|data/1"}, change)


async def current(store: Store, tenant: Tenant) -> str:
    return (await store.key_versions(tenant).current()).key_id


async def test_a_policy_of_time_replaces_the_key_once(sealed: Store, tenant: Tenant) -> None:
    records = KeyRecords(sealed, tenant)
    await records.put_policy({"name": "yearly", "trigger": "time", "intervalDays": 365})
    await aged(sealed, tenant, days=364)
    assert await key_policies.of_tenant(sealed, tenant) is None
    await aged(sealed, tenant, days=366)
    await asyncio.gather(*(key_policies.applied(sealed) for _ in range(3)))
    assert await current(sealed, tenant) == "data/2"
    (job,) = await sealed.jobs.listed(tenant.name, reencrypt.KIND)
    assert job.given["patients"] is False
    (told,) = await records.events()
    assert (told["action"], told["key"], told["by"]) == ("rotated", "data/2", "key policies")
    assert "yearly" in told["why"]


async def test_the_ceiling_needs_no_policy(sealed: Store, tenant: Tenant) -> None:
    await aged(sealed, tenant, uses=CEILING)
    assert "1,073,741,824" in str(await key_policies.of_tenant(sealed, tenant))


async def test_after_a_compromise_each_patient_gets_another_key(sealed: Store, tenant: Tenant) -> None:
    records = KeyRecords(sealed, tenant)
    await records.put_policy({"name": "incidents", "trigger": "event", "events": ["compromise", "staff-leaving"]})
    await records.tell(REPORTED, "test", event="kek-change")
    assert await key_policies.of_tenant(sealed, tenant) is None
    await records.tell(REPORTED, "test", event="compromise")
    assert "compromise" in str(await key_policies.of_tenant(sealed, tenant))
    assert (await sealed.jobs.listed(tenant.name, reencrypt.KIND))[0].given["patients"] is True
    assert await key_policies.of_tenant(sealed, tenant) is None


async def test_policies_of_legacy_tables_hold_unless_they_were_ended(sealed: Store, tenant: Tenant) -> None:
    records = KeyRecords(sealed, tenant)
    legacy = {"resourceType": POLICY, "trigger": "usage", "maximumUses": 10}
    await records.records.put([{**legacy, "id": "1", "name": "old", "status": "inactive"}])
    await records.records.put([{"resourceType": LEGACY, "id": "k1", "name": "pii", "version": 3}])
    await aged(sealed, tenant, uses=10)
    assert await key_policies.of_tenant(sealed, tenant) is None
    await records.records.put([{**legacy, "id": "2", "name": "busy", "status": "active"}])
    assert "'busy'" in str(await key_policies.of_tenant(sealed, tenant))
    assert [each["name"] for each in await records.legacy()] == ["pii"]


async def test_a_tenant_whose_keys_do_not_open_stops_no_other(sealed: Store, tenant: Tenant) -> None:
    other = await sealed.tenants.create(f"kp{next(_NUMBERS)}")
    await KeyRecords(sealed, other).put_policy({"name": "now", "trigger": "usage", "maximumUses": 1})
    await sealed.key_versions(other).current()
    await sealed.common.encryption_keys.update_one({"_id": f"{other.name}|data/1"}, {"$set": {"uses": 1}})
    await sealed.common.encryption_keys.update_one({"_id": f"{tenant.name}|data/1"}, {"$set": {"wrapped": b"x"}})
    sealed.vault.forget(tenant.name)
    await key_policies.applied(sealed)
    assert await current(sealed, other) == "data/2"


@pytest.mark.parametrize("memory", [False, True])
async def test_of_many_processes_one_has_its_turn(sealed: Store, memory: bool) -> None:
    if memory:
        async with opened(memory=True) as found:
            await _one_has_its_turn(found)
    else:
        await _one_has_its_turn(sealed)


async def _one_has_its_turn(store: Store) -> None:
    made: list[int] = []

    async def look(_: Store) -> None:
        made.append(1)

    async def fail(_: Store) -> None:
        raise RuntimeError("not today")

    both = [Round("fails", timedelta(hours=1), fail), Round("looks", timedelta(hours=1), look)]
    await asyncio.gather(*(rounds.once(store, both) for _ in range(6)))
    assert made == [1]
    await rounds.once(store, both)
    assert made == [1]
    past = {"$set": {"at": datetime.now(UTC) - timedelta(hours=2)}}
    await store.common.migrations.update_one({"_id": "round looks"}, past)
    await asyncio.gather(*(rounds.once(store, both) for _ in range(6)))
    assert made == [1, 1]


async def test_rounds_go_on_as_long_as_the_process(sealed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LOOK", 0.01)
    seen = asyncio.Event()

    async def look(_: Store) -> None:
        seen.set()

    async with rounds.going(sealed, [Round("goes", timedelta(0), look)]):
        await asyncio.wait_for(seen.wait(), 5)
        seen.clear()
        await asyncio.wait_for(seen.wait(), 5)
