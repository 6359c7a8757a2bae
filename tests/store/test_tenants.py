"""The register of tenants."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from fhir_server.access.concealment import GUARDS
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.terminology.code_system import Concept
from fhir_server.store import tenants
from fhir_server.store.attempts import Pauses
from fhir_server.store.clients import Client
from fhir_server.store.concepts import Loaded, Row
from fhir_server.store.connection import Store, opened
from fhir_server.store.deferred import Asked
from fhir_server.store.features import FeatureRecords
from fhir_server.store.grants import Grant
from fhir_server.store.mapping_runs import MappingRuns
from fhir_server.store.mappings import MappingStates
from fhir_server.store.packages import Package
from fhir_server.store.upstream import Upstream
from fhir_server.store.users import User
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import observation, patient
from tests.store.test_journal import event


def a_name() -> str:
    return f"name-{uuid4().hex[:12]}"


async def test_create_get_and_list(any_store: Store) -> None:
    name = a_name()
    created = await any_store.tenants.create(name, title="A practice", native="off", settings={"references": "free"})
    assert await any_store.tenants.get(name) == created
    assert created in await any_store.tenants.list()
    assert created.active
    assert created.settings == {"references": "free"}
    assert await any_store.tenants.get("nobody") is None


@pytest.mark.parametrize("name", ["", "a", "A", "1a", "a_b", "a|b", "a/b", "a b", "ä", "a" * 64, "a\n", "-a", "a.b"])
async def test_a_bad_name_is_refused(any_store: Store, name: str) -> None:
    with pytest.raises(FhirError, match="no name for a tenant") as refusal:
        await any_store.tenants.create(name)
    assert refusal.value.status == 400


async def test_a_name_is_given_once(any_store: Store) -> None:
    tenant = await new_tenant(any_store)
    with pytest.raises(FhirError, match="already a tenant") as refusal:
        await any_store.tenants.create(tenant.name)
    assert refusal.value.status == 409


@pytest.mark.parametrize("database", ["admin", "local", "config", "a.b", "a b", "", "$x", "a" * 64])
async def test_a_bad_database_is_refused(store: Store, database: str) -> None:
    with pytest.raises(FhirError, match="no name for a database"):
        await store.tenants.create(a_name(), database=database)


async def test_a_database_is_given_once(store: Store) -> None:
    own = f"{store.common.name}_{uuid4().hex[:6]}"
    tenant = await store.tenants.create(a_name(), database=own)
    for taken in (own, store.common.name):
        with pytest.raises(FhirError, match="in use"):
            await store.tenants.create(a_name(), database=taken)
    await store.tenants.erase(tenant.name)


async def test_suspension_reaches_other_processes_in_a_second(store: Store, mongo_url: str) -> None:
    tenant = await new_tenant(store)
    async with opened(mongo_url=mongo_url, database=store.common.name) as other:
        seen = await other.tenants.get(tenant.name)
        assert seen is not None
        assert seen.active
        assert (await store.tenants.suspend(tenant.name)).status == "suspended"
        await asyncio.sleep(tenants.REMEMBERED)
        seen = await other.tenants.get(tenant.name)
        assert seen is not None
        assert not seen.active
        assert (await other.tenants.resume(tenant.name)).active


async def test_an_unknown_tenant_cannot_be_suspended_or_erased(any_store: Store) -> None:
    for change in (any_store.tenants.suspend, any_store.tenants.resume, any_store.tenants.erase):
        with pytest.raises(FhirError, match="no tenant 'nobody'"):
            await change("nobody")


async def authorize(store: Store, tenant: str) -> None:
    """Something of each kind that the authorization server keeps."""
    await store.clients.add(Client(tenant, "app", "An App", "public", "patient/*.rs"))
    await store.handles.new(tenant, "code", {}, timedelta(minutes=1))
    await store.grants.add(Grant(tenant, "app", "u1", ("patient/*.rs",)))
    await store.revocations.revoke(tenant, "user", "u2")


async def sign_in(store: Store, tenant: str) -> None:
    """Somebody, a session, a failure, and a provider elsewhere."""
    user = await store.users.add(User(tenant, "ann", "Ann"))
    await store.sessions.begin(user, ("pwd",), timedelta(minutes=1), None, user.created)
    await store.attempts.charge(tenant, "account:x", Pauses((), timedelta(minutes=1)))
    await store.upstreams.put(Upstream(tenant, "https://login.example", "us", "Them", "a secret"))


async def record(store: Store, tenant: str) -> None:
    """An event, its chain and a checkpoint of that."""
    store.journal.off = False  # In memory it is, since there is nothing to prove.
    await store.journal.record(tenant, event())
    await store.journal.settled()
    await store.journal.round()
    await store.journal.keeping.settle(store.common, await store.tenants.latest(tenant))


async def test_erasing_leaves_nothing_of_it_and_all_of_the_others(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the other one begins with the name of the one that is erased."""
    monkeypatch.setattr(tenants, "REMEMBERED", 0.0)
    name = a_name()
    created = [await any_store.tenants.create(each, guards=GUARDS) for each in (name, f"{name}-other")]
    both = [as_system(any_store, each) for each in created]
    for repository in both:
        await repository.update(patient("p1"))
        await repository.update(patient("p1", "Jones"))
        await repository.update(observation("o1", "p1"))
        await repository.update(CONSENT)
        await repository.transaction(lambda inside: inside.claim("Patient?identifier=1"))
        await repository.transaction(lambda inside: inside.keep_answer("key", "request", EntryResponse(201)))
        await repository.concepts.keep("load", [Row(0, "a", Concept("a"), ("a",))])
        await repository.concepts.take_over("urn:a", None, Loaded("load", "complete", 1))
        asked = Asked({"type": "batch"}, repository.caller, "", frozenset(), None)
        await any_store.deferred(repository.tenant).add(asked, [{"request": {}}])
        await MappingStates(any_store, repository.tenant).save([STATE])
        await MappingStates(any_store, repository.tenant).keep_snapshots([STATE])
        await repository.lineage.keep("pms.clients", "1", [("Patient", [])])
        await MappingRuns(any_store, repository.tenant).keep("pms", {"run": "1"})
        definitions = [{"resourceType": "ValueSet", "url": "urn:v", "status": "active"}]
        package = Package("guide", "1.0.0", "digest", len(definitions))
        await any_store.packages.add(repository.tenant, package, definitions, lambda _: None)
        await FeatureRecords(any_store, repository.tenant).put([{"resourceType": "accounts/user", "id": "u1"}])
        await authorize(any_store, repository.tenant.name)
        await sign_in(any_store, repository.tenant.name)
        await record(any_store, repository.tenant.name)
        await any_store.common.encryption_keys.insert_one({"_id": f"{repository.tenant.name}|data|1"})
        await any_store.certificates.issue(repository.tenant.name, "retention", {}, datetime.now(UTC))
    key = await any_store.keys.signing(name)
    await any_store.tenants.erase(name)
    assert await any_store.tenants.get(name) is None
    for collection in any_store.common.personal:
        left = [document["_id"] async for document in collection.find({}, {"_id": 1})]
        assert not [each for each in left if each.startswith(f"{name}|")]
        assert [each for each in left if each.startswith(f"{name}-other|")]
    assert (await both[1].current("Patient", "p1")).version_id == 2
    assert (await any_store.keys.signing(name)).kid != key.kid


CONSENT = {
    "resourceType": "Consent",
    "id": "c1",
    "status": "active",
    "scope": {"text": "privacy"},
    "category": [{"text": "x"}],
    "patient": {"reference": "Patient/p1"},
    "policyRule": {"text": "x"},
    "provision": {"type": "deny"},
}

STATE = {
    "source_system": "pms",
    "source_table": "clients",
    "source_pk": "1",
    "output": "Patient",
    "status": "mapped",
}
