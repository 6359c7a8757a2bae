"""What consents forbid is known everywhere at once, and what was stored before is not forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.concealment import CONSENTS, GUARDS, LABELS
from fhir_server.access.scopes import Scopes
from fhir_server.fhir.outcome import FhirError
from fhir_server.store import hidden, tenants
from fhir_server.store.connection import Store
from fhir_server.store.consents import Consents
from fhir_server.store.repository import Repository
from fhir_server.store.tenants import Tenant
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import observation, patient

READS = Scopes.parse("user/*.rs").resources


def consent(provision: dict[str, Any], name: str = "c1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": name,
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "x"}],
        "patient": {"reference": "Patient/p1"},
        "policyRule": {"text": "x"},
        "provision": provision,
        **more,
    }


def actor(reference: str) -> dict[str, Any]:
    return {"role": {"text": "x"}, "reference": {"reference": reference}}


async def seen_by(store: Store, tenant: Tenant, **about: Any) -> Repository:
    caller = Caller(tenant.name, "somebody", "app", READS, **about)
    return store.repository(tenant, await store.consents.applied(tenant, caller))


async def finds(repository: Repository) -> bool:
    return bool(await repository.existing([("Observation", "o1")]))


async def filled(store: Store, guards: frozenset[str] = GUARDS) -> tuple[Tenant, Repository]:
    tenant = replace(await new_tenant(store), guards=guards)
    repository = as_system(store, tenant)
    await repository.update(patient("p1"))
    await repository.update(observation("o1", "p1"))
    return tenant, repository


async def test_the_first_one_of_a_tenant_is_told_to_every_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await new_tenant(store)
    repository = as_system(store, tenant)
    await repository.update(patient("p1"))
    await repository.update(observation("o1", "p1"))
    waited: list[frozenset[str]] = []
    guard = store.tenants.guard

    async def noted(name: str, guards: frozenset[str]) -> Tenant:
        waited.append(guards)
        return await guard(name, guards)

    monkeypatch.setattr(store.tenants, "guard", noted)
    monkeypatch.setattr(tenants, "REMEMBERED", 0.01)
    await repository.update(consent({"type": "permit"}))
    assert not waited, "what only permits hides nothing"
    await repository.put_many([consent({"type": "deny"}), consent({"type": "deny"}, "c2")])
    assert waited == [{CONSENTS}]
    assert (await store.tenants.latest(tenant.name)).guards == {CONSENTS}
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    await repository.transaction(lambda tx: tx.update({**observation("o2", "p1"), "meta": {"security": [label]}}))
    assert waited == [{CONSENTS}, {LABELS}]
    assert repository.tenant.guards == (await store.tenants.latest(tenant.name)).guards == {CONSENTS, LABELS}
    assert not await finds(await seen_by(store, repository.tenant))


async def test_it_holds_and_ends_at_once(any_store: Store) -> None:
    tenant, repository = await filled(any_store)
    for _ in range(3):
        assert await finds(await seen_by(any_store, tenant))
        await repository.update(consent({"type": "deny"}))
        assert not await finds(await seen_by(any_store, tenant))
        await repository.delete("Consent", "c1")


async def test_one_that_is_not_written_forbids_nothing(store: Store) -> None:
    tenant, repository = await filled(store)

    async def fails(inside: Repository) -> None:
        await inside.update(consent({"type": "deny"}))
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await repository.transaction(fails)
    assert await finds(await seen_by(store, tenant))


async def test_nobody_gets_past_by_not_being_asked_about(store: Store) -> None:
    tenant, _ = await filled(store)
    unasked = store.repository(tenant, Caller(tenant.name, "somebody", "app", READS))
    with pytest.raises(FhirError, match="not been looked up"):
        await finds(unasked)


BELONGING = [
    ({"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/a"}}, "PractitionerRole/x"),
    (
        {
            "resourceType": "PractitionerRole",
            "practitioner": {"reference": "Practitioner/a"},
            "organization": {"reference": "Organization/o"},
        },
        "Organization/o",
    ),
    ({"resourceType": "CareTeam", "participant": [{"member": {"reference": "Practitioner/a"}}]}, "CareTeam/x"),
    (
        {
            "resourceType": "Group",
            "type": "practitioner",
            "actual": True,
            "member": [{"entity": {"reference": "Practitioner/a"}}],
        },
        "Group/x",
    ),
]


@pytest.mark.parametrize(("belonging", "named"), BELONGING, ids=[named for _, named in BELONGING])
async def test_an_actor_is_whom_a_person_belongs_to(store: Store, belonging: dict[str, Any], named: str) -> None:
    tenant, repository = await filled(store)
    await repository.update(consent({"type": "deny", "actor": [actor(named)]}))
    assert await finds(await seen_by(store, tenant, fhir_user="Practitioner/a"))
    await repository.update({**belonging, "id": "x"})
    assert not await finds(await seen_by(store, tenant, fhir_user="Practitioner/a"))
    assert await finds(await seen_by(store, tenant, fhir_user="Practitioner/b"))


async def test_time_alone_begins_and_ends_it(store: Store) -> None:
    tenant, repository = await filled(store)
    await repository.update(consent({"type": "deny", "period": {"start": "2030-01-01", "end": "2030-12-31"}}))
    moment = datetime(2029, 12, 31, tzinfo=UTC)
    consents = Consents(store.of, store.repository, store.tenants, clock=lambda: moment)
    caller = Caller(tenant.name, "somebody", "app", READS)
    for moment, expected in (  # noqa: B007 - the clock looks at it
        (datetime(2029, 12, 31, tzinfo=UTC), True),
        (datetime(2030, 1, 1, tzinfo=UTC), False),
        (datetime(2030, 12, 31, 23, tzinfo=UTC), False),
        (datetime(2031, 1, 1, tzinfo=UTC), True),
    ):
        assert await finds(store.repository(tenant, await consents.applied(tenant, caller))) == expected


async def test_what_is_forbidden_is_one_object_for_all_who_are_alike(store: Store) -> None:
    tenant, repository = await filled(store)
    await repository.update(consent({"type": "deny", "actor": [actor("Practitioner/a")]}))
    callers = [Caller(tenant.name, "s", "c", READS, fhir_user=f"Practitioner/{each}") for each in "abc"]
    one, two, three = [await store.consents.applied(tenant, each) for each in callers]
    assert one.denials is not two.denials
    assert two.denials is three.denials
    assert await store.consents.applied(tenant, callers[0]) is one


async def test_what_was_stored_before_is_hidden_after_an_upgrade(store: Store) -> None:
    tenant, repository = await filled(store)
    label = {"system": "http://hl7.org/fhir/v3/Confidentiality", "code": "R"}
    for _ in range(2):
        await repository.update({**observation("oR", "p1"), "meta": {"security": [label]}, "language": f"e{_}"})
    await repository.update(consent({"type": "deny", "actor": [actor("Practitioner/a")]}))
    for collection in (store.common.resources, store.common.history):
        await collection.update_many({"t": tenant.name}, {"$unset": {"sec": ""}})
    await store.common.consents.delete_many({"t": tenant.name})
    await store.common.consents.delete_many({"_id": {"$regex": f"^{tenant.name}"}})
    await hidden.labelled(store.common)
    await hidden.forbidden(store.common)
    assert not await finds(await seen_by(store, tenant, fhir_user="Practitioner/a"))
    reader = await seen_by(store, tenant, fhir_user="Practitioner/b")
    assert await finds(reader)
    assert not await reader.existing([("Observation", "oR")])
    assert [each["sec"] async for each in store.common.history.find({"t": tenant.name, "id": "oR"})] == [["R"]]
