"""A token is only as good as its patient."""

from __future__ import annotations

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir.outcome import FhirError, transient
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from fhir_server.store.standing import REMEMBERED, Standing
from fhir_server.store.tenants import Tenant


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def of(tenant: Tenant, patient: str | None) -> Caller:
    return Caller(tenant.name, "s", "c", (), patient)


async def refused(standing: Standing, tenant: Tenant, patient: str | None) -> bool:
    try:
        await standing.now(tenant, of(tenant, patient))
    except FhirError as problem:
        return problem.status == 403
    return False


async def test_the_end_of_a_record_is_noticed_within_a_second(store: Store, repository: Repository) -> None:
    tenant = repository.tenant
    clock = Clock()
    standing = Standing(store, clock)
    await repository.update({"resourceType": "Patient", "id": "p1"})
    assert not await refused(standing, tenant, "p1")
    await repository.delete("Patient", "p1")
    assert not await refused(standing, tenant, "p1")
    clock.now += REMEMBERED
    assert await refused(standing, tenant, "p1")
    await repository.update({"resourceType": "Patient", "id": "p1"})
    clock.now += REMEMBERED
    assert not await refused(standing, tenant, "p1")


async def test_a_patient_who_was_merged_is_not_one_any_more(store: Store, repository: Repository) -> None:
    tenant = repository.tenant
    await repository.update({"resourceType": "Patient", "id": "p2"})
    other = {"reference": "Patient/p2"}
    for resource_id, kind in (("p3", "replaced-by"), ("p4", "replaces")):
        await repository.update(
            {"resourceType": "Patient", "id": resource_id, "link": [{"type": kind, "other": other}]}
        )
    standing = Standing(store)
    assert await refused(standing, tenant, "p3")
    assert not await refused(standing, tenant, "p4")


async def test_a_token_without_a_patient_needs_none(store: Store, repository: Repository) -> None:
    tenant = repository.tenant
    assert not await refused(Standing(store), tenant, None)
    assert await refused(Standing(store), tenant, "nobody")


async def test_a_database_that_fails_is_no_answer(
    store: Store, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = repository.tenant

    async def away(*_: object) -> None:
        raise transient("away")

    monkeypatch.setattr("fhir_server.store.repository.Repository.current", away)
    with pytest.raises(FhirError) as problem:
        await Standing(store).now(tenant, of(tenant, "p1"))
    assert problem.value.status == 503
