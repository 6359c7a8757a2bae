"""Keys wrapped anew by another KEK or its newest version, and destroyed when nothing needs them any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.access.caller import Caller
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs import reencrypt, worker
from fhir_server.store import retirement
from fhir_server.store.connection import Store
from fhir_server.store.jobs import new_owner
from fhir_server.store.kek.adapters import kek_of
from fhir_server.store.kek.port import Kek, KekError
from fhir_server.store.key_versions import KeyVersions
from fhir_server.store.retirement import Retirement
from fhir_server.store.tenants import Tenant
from fhir_server.store.vault import Vault
from tests.store.conftest import as_system

_NUMBERS = count(1)
NOW = timedelta(0)


@pytest_asyncio.fixture
async def tenant(sealed: Store, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    monkeypatch.setattr(reencrypt, "SETTLED", 0.0)
    monkeypatch.setattr(retirement, "MARGIN", timedelta(0))
    made = await sealed.tenants.create(f"kv{next(_NUMBERS)}")
    await as_system(sealed, made).put_many([{"resourceType": "Organization", "id": "o", "name": "A"}])
    await as_system(sealed, made).put_many([{"resourceType": "Patient", "id": "p"}])
    return made


def another(folder: Path) -> Kek:
    file = folder / "another"
    file.write_bytes(b"another key that wraps in tests.")
    file.chmod(0o600)
    found = kek_of(f"file:{file}", None)
    assert found is not None
    return found


async def wrapped(store: Store, tenant: Tenant) -> dict[str, Any]:
    documents = await store.common.encryption_keys.find({"t": tenant.name}).to_list()
    return {each["_id"]: (each["by"], each["wrapped"]) for each in documents}


async def test_another_kek_wraps_the_keys_and_no_resource_is_touched(
    sealed: Store, tenant: Tenant, tmp_path: Path
) -> None:
    before, bodies = await wrapped(sealed, tenant), await sealed.common.resources.find({"t": tenant.name}).to_list()
    former = sealed.vault.kek
    assert former is not None
    vault = Vault(sealed.common.encryption_keys, another(tmp_path))
    versions = KeyVersions(vault, tenant.name)
    with pytest.raises(FhirError, match=f"is wrapped by {former.name}"):
        await versions.rewrap()
    assert await versions.rewrap(former) == sum(by == former.name for by, _ in before.values())
    after = await wrapped(sealed, tenant)
    assert {by for by, _ in after.values()} == {vault.kek and vault.kek.name, "data/1"}
    assert await sealed.common.resources.find({"t": tenant.name}).to_list() == bodies
    assert (await vault.keys(tenant.name, ["patient/p/1"]))["patient/p/1"].revealed()
    with pytest.raises(FhirError) as refused:
        await Vault(sealed.common.encryption_keys, former).data_key(tenant.name)
    assert (refused.value.status, refused.value.issues[0].code) == (503, "transient")


class Versioned:
    """A key service that counts how often its key was replaced."""

    name = "versioned"

    def __init__(self) -> None:
        self.version, self.shown = 1, 0

    async def wrap(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        return bytes([self.version]) + plaintext

    async def unwrap(self, kept: bytes, context: Mapping[str, str]) -> bytes:
        self.shown += 1
        return kept[1:]

    async def rewrap(self, kept: bytes, context: Mapping[str, str]) -> bytes:
        return bytes([self.version]) + kept[1:]


async def test_a_new_version_of_the_kek_wraps_them_without_showing_them(sealed: Store, tenant: Tenant) -> None:
    kek = Versioned()
    versions = KeyVersions(Vault(sealed.common.encryption_keys, kek), "versioned")
    await versions.current()
    kek.version, kek.shown = 2, 0
    assert await versions.rewrap() == 1
    assert kek.shown == 0
    assert (await sealed.common.encryption_keys.find_one({"_id": "versioned|data/1"}))["wrapped"][0] == 2  # type: ignore[index]


async def test_e09_what_is_open_is_used_while_the_service_is_away_and_then_503(
    sealed: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    kek = sealed.vault.kek
    assert kek is not None
    await as_system(sealed, tenant).current("Patient", "p")

    async def away(*_: Any) -> bytes:
        raise KekError("The key service is away.")

    monkeypatch.setattr(kek, "unwrap", away)
    assert (await as_system(sealed, tenant).current("Patient", "p")).version_id == 1
    sealed.vault.forget(tenant.name)
    for _ in range(2):
        with pytest.raises(FhirError) as refused:
            await as_system(sealed, tenant).current("Patient", "p")
        assert (refused.value.status, refused.value.issues[0].code) == (503, "transient")
        assert ("Retry-After", "5") in refused.value.headers
    monkeypatch.undo()
    assert (await as_system(sealed, tenant).current("Patient", "p")).version_id == 1


async def test_e06_a_key_that_opens_anything_is_not_destroyed(
    sealed: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, versions = Retirement(sealed, tenant), sealed.key_versions(tenant)
    repository = as_system(sealed, tenant)
    for key, reason in (("data/1", "what is sealed with now"), ("data/9", "There is no key")):
        with pytest.raises(FhirError, match=reason):
            await ended.retire(key, NOW)
    await repository.transaction(lambda inside: inside.keep_answer("k", "r", EntryResponse(200, body=b"{}")))
    await versions.rotate()
    with pytest.raises(FhirError, match="1 versions of resources, 1 keys of patients and 1 answers") as refused:
        await ended.retire("data/1", NOW)
    assert refused.value.status == 409
    await reencrypt.ask(sealed, tenant.name)
    while await worker.one(sealed, {reencrypt.KIND: reencrypt.run}, new_owner(), share=1.0):
        pass
    with pytest.raises(FhirError, match="0 versions of resources, 0 keys of patients and 1 answers"):
        await ended.retire("data/1", NOW)
    await sealed.common.idempotency.delete_many({})
    monkeypatch.setattr(retirement, "MARGIN", timedelta(minutes=2))
    with pytest.raises(FhirError, match="others are still writing"):
        await ended.retire("data/1", NOW)
    monkeypatch.setattr(retirement, "MARGIN", timedelta(0))
    with pytest.raises(FhirError, match="a backup that is still kept"):
        await ended.retire("data/1", timedelta(days=35))
    assert (await ended.retire("data/1", NOW)).state == "destroyed"
    with pytest.raises(FhirError, match="destroyed before"):
        await ended.retire("data/1", NOW)
    sealed.vault.forget(tenant.name)
    assert (await repository.current("Organization", "o")).version_id == 1
    assert (await repository.current("Patient", "p")).version_id == 1


async def test_keys_of_patients_that_were_replaced_are_destroyed_together(sealed: Store, tenant: Tenant) -> None:
    versions = sealed.key_versions(tenant)
    await versions.renew_patients(datetime.now(UTC))
    assert await Retirement(sealed, tenant).retire_patients(NOW) == 0
    await reencrypt.ask(sealed, tenant.name, patients=True)
    while await worker.one(sealed, {reencrypt.KIND: reencrypt.run}, new_owner(), share=1.0):
        pass
    assert await Retirement(sealed, tenant).retire_patients(NOW) >= 1
    assert await versions.gone() == frozenset()
    sealed.vault.forget(tenant.name)
    repository = sealed.repository(tenant, Caller.system(tenant.name, "test"))
    assert (await repository.current("Patient", "p")).version_id == 1
