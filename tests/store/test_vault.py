"""The keys of tenants: made once, wrapped, remembered for a while, gone when destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.store import vault as vaults
from fhir_server.store.connection import Store
from fhir_server.store.kek.port import KekError
from fhir_server.store.vault import Vault


class Counting:
    """A key service in memory that counts what it is asked, and can be told to fail."""

    name = "counting"

    def __init__(self) -> None:
        self.asked = 0
        self.fails: Exception | None = None
        self.hangs = False

    async def wrap(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        return repr(sorted(context.items())).encode() + bytes(each ^ 85 for each in plaintext)

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.fails:
            raise self.fails
        bound = repr(sorted(context.items())).encode()
        assert wrapped.startswith(bound)
        return bytes(each ^ 85 for each in wrapped.removeprefix(bound))


@pytest.fixture
def kek() -> Counting:
    return Counting()


@pytest.fixture
def vault(any_store: Store, kek: Counting) -> Vault:
    return fresh(any_store, kek)


def fresh(store: Store, kek: Counting) -> Vault:
    """As another process has it."""
    return Vault(store.common.encryption_keys, kek)


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    return f"v-{abs(hash(request.node.name)):x}"


async def test_a_key_is_the_same_for_every_process(any_store: Store, vault: Vault, kek: Counting, tenant: str) -> None:
    mine, theirs = await asyncio.gather(vault.data_key(tenant), fresh(any_store, kek).data_key(tenant))
    assert mine.id == theirs.id == "data/1"
    assert mine.revealed() == theirs.revealed()
    patient = (await vault.patient_keys(tenant, ["p1"]))["p1"]
    assert patient.id == "patient/p1/1"
    again = await fresh(any_store, kek).keys(tenant, ["patient/p1/1", "data/1"])
    assert again["patient/p1/1"].revealed() == patient.revealed()


async def test_processes_that_make_a_key_together_agree(any_store: Store, kek: Counting, tenant: str) -> None:
    vaults_of_all = [fresh(any_store, kek) for _ in range(6)]
    made = await asyncio.gather(*(each.patient_keys(tenant, ["p1", "p2"]) for each in vaults_of_all))
    assert len({(keys["p1"].revealed(), keys["p2"].revealed()) for keys in made}) == 1


async def test_what_is_stored_holds_no_key(any_store: Store, vault: Vault, tenant: str) -> None:
    keys = [await vault.data_key(tenant), *(await vault.patient_keys(tenant, ["p1", "p2"])).values()]
    documents = await any_store.common.encryption_keys.find({"t": tenant}).to_list()
    assert len(documents) == 3
    assert len({key.revealed() for key in keys}) == 3
    assert not any(key.revealed() in bytes(each["wrapped"]) for key in keys for each in documents)


async def test_keys_of_purposes_and_tenants_differ(vault: Vault, tenant: str) -> None:
    found = [await vault.purpose_key(name, kind) for name in (tenant, f"{tenant}x") for kind in ("data", "index")]
    assert len({key.revealed() for key in found}) == 4


async def test_a_page_of_keys_costs_one_question_to_the_service(
    any_store: Store, vault: Vault, kek: Counting, tenant: str
) -> None:
    patients = [f"p{number}" for number in range(50)]
    await vault.patient_keys(tenant, patients)
    kek.asked = 0
    other = fresh(any_store, kek)
    found = await other.keys(tenant, [f"patient/{each}/1" for each in patients])
    assert len(found) == 50
    assert kek.asked == 1


async def test_a_service_that_fails_is_asked_when_the_keys_are_forgotten(
    vault: Vault, kek: Counting, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await vault.data_key(tenant)
    kek.fails = KekError("denied")
    assert (await vault.keys(tenant, ["data/1"]))["data/1"].id == "data/1"
    later = vaults.monotonic() + vaults.REMEMBERED + 1
    monkeypatch.setattr(vaults, "monotonic", lambda: later)
    with pytest.raises(FhirError) as refused:
        await vault.data_key(tenant)
    assert refused.value.status == 503
    assert refused.value.issues[0].code == "transient"
    assert ("Retry-After", "5") in refused.value.headers
    kek.fails = None
    assert (await vault.data_key(tenant)).id == "data/1"


async def test_a_service_that_hangs_is_not_waited_for(
    vault: Vault, kek: Counting, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vaults, "PATIENCE", 0.05)
    kek.hangs = True
    with pytest.raises(FhirError, match="cannot be opened at the moment"):
        await vault.data_key(tenant)


async def test_a_destroyed_key_is_left_out_and_never_made_again(any_store: Store, vault: Vault, tenant: str) -> None:
    await vault.patient_keys(tenant, ["p1", "p2"])
    change: dict[str, Any] = {"$set": {"state": vaults.DESTROYED}, "$unset": {"wrapped": ""}}
    await any_store.common.encryption_keys.update_one({"_id": f"{tenant}|patient/p1/1"}, change)
    vault.forget(tenant)
    assert list(await vault.keys(tenant, ["patient/p1/1", "patient/p2/1"])) == ["patient/p2/1"]
    with pytest.raises(FhirError, match="were destroyed") as refused:
        await vault.patient_keys(tenant, ["p1"])
    assert refused.value.status == 410


async def test_a_retired_key_opens_and_the_next_one_seals(any_store: Store, vault: Vault, tenant: str) -> None:
    first = await vault.data_key(tenant)
    collection = any_store.common.encryption_keys
    await collection.update_one({"_id": f"{tenant}|data/1"}, {"$set": {"state": vaults.RETIRED}})
    await vault._made(tenant, vaults.DATA, 2)
    vault.forget(tenant)
    assert (await vault.data_key(tenant)).id == "data/2"
    assert (await vault.keys(tenant, ["data/1"]))["data/1"].revealed() == first.revealed()


async def test_a_key_that_never_was_is_an_alarm(vault: Vault, tenant: str) -> None:
    with pytest.raises(FhirError) as refused:
        await vault.keys(tenant, ["data/9"])
    assert (refused.value.status, refused.value.issues[0].code) == (503, "exception")


async def test_uses_are_noted_roughly(
    any_store: Store, vault: Vault, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (await vault.data_key(tenant)).uses += 7
    later = vaults.monotonic() + vaults.CURRENT + 1
    monkeypatch.setattr(vaults, "monotonic", lambda: later)
    await vault.data_key(tenant)
    (document,) = await any_store.common.encryption_keys.find({"_id": f"{tenant}|data/1"}).to_list()
    assert document["uses"] == 7
