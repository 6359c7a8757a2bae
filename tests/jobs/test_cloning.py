"""A masked copy of a tenant."""

from __future__ import annotations

import pytest

from fhir_server.fhir.masking.project import Project
from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs import cloning
from fhir_server.jobs.cloning import clone
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.store.conftest import any_store, as_system, memory_store, new_tenant, store  # noqa: F401 - fixtures
from tests.store.resources import observation, patient, plan_of

PROJECT = Project(b"a secret of thirty-two bytes or so")


async def filled(found: Store) -> Repository:
    repository = as_system(found, await new_tenant(found))
    await repository.put_many([patient(f"p{n}", "Roe", birthDate="1980-02-03") for n in range(7)])
    await repository.put_many([observation(f"o{n}", f"p{n}") for n in range(7)])
    await repository.delete("Observation", "o6")
    return repository


async def test_a_copy_has_all_that_is_current_and_names_nobody(any_store: Store) -> None:  # noqa: F811
    source = await filled(any_store)
    target = f"{source.tenant.name}-test"
    heard: list[int] = []
    done = await clone(any_store, source.tenant, target, PROJECT, heard.append)
    assert done.resources == {"Patient": 7, "Observation": 6}
    assert done.left_out == []
    assert sum(heard) == await cloning.count(any_store, source.tenant) == 13
    tenant = await any_store.tenants.get(target)
    assert tenant is not None
    copy = as_system(any_store, tenant)
    for resource_type in ("Patient", "Observation"):
        page = await copy.search(plan_of(f"{resource_type}?_count=50"))
        assert not [each for each in page.versions if b"Roe" in each.body or b"05-06" in each.body]
    other = PROJECT.resource_id("Patient", "p3")
    assert len((await copy.search(plan_of(f"Observation?subject=Patient/{other}"))).versions) == 1
    assert (await copy.search(plan_of("Patient?birthdate=1980&_count=50"))).versions
    assert (await copy.search(plan_of("Patient?_security=PSEUDED&_count=50"))).versions


async def test_a_copy_that_was_cut_short_goes_on_and_no_other_is_mixed_with_it(
    memory_store: Store,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = await filled(memory_store)
    target = f"{source.tenant.name}-test"
    with monkeypatch.context() as cut:
        cut.setattr(cloning, "copied", lambda: ("Observation",))
        await clone(memory_store, source.tenant, target, PROJECT)
    assert (await clone(memory_store, source.tenant, target, PROJECT)).resources["Patient"] == 7
    tenant = await memory_store.tenants.get(target)
    assert tenant is not None
    page = await as_system(memory_store, tenant).search(plan_of("Observation?_count=50"))
    assert {each.version_id for each in page.versions} == {1}
    another = Project(b"another secret of the same length.")
    for project, into in ((another, target), (PROJECT, source.tenant.name)):
        with pytest.raises(FhirError, match="is there already") as refusal:
            await clone(memory_store, source.tenant, into, project)
        assert refusal.value.status == 409


async def test_what_has_no_valid_copy_is_named(memory_store: Store) -> None:  # noqa: F811
    """Such as a resource that was stored before a rule was checked."""
    source = as_system(memory_store, await new_tenant(memory_store))
    await source.put_many([{"resourceType": "Observation", "id": "o1"}])
    done = await clone(memory_store, source.tenant, f"{source.tenant.name}-test", PROJECT)
    assert [name for name, _ in done.left_out] == ["Observation/o1"]
