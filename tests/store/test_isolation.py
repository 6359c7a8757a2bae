"""Two tenants with the same ids, and a patient among others: nothing of one is seen by the other, in any method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scope
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import observation, patient, plan_of

Try = Callable[[Repository], Awaitable[Any]]

CANARY = "Canary"


class Site(NamedTuple):
    mine: Repository
    theirs: Repository


@pytest.fixture
async def site(any_store: Store) -> Site:
    """Both have Patient/p1 and Observation/o1; the other one has p2, o2 and more versions as well."""
    mine, theirs = [as_system(any_store, await new_tenant(any_store)) for _ in range(2)]
    for repository, family in ((mine, "Smith"), (theirs, CANARY)):
        await repository.update(patient("p1", family))
        await repository.update(observation("o1", "p1"))
    await theirs.update(patient("p1", f"{CANARY}2"))
    await theirs.update(patient("p2", CANARY))
    await theirs.update(observation("o2", "p2"))
    await theirs.update(patient("gone", CANARY))
    await theirs.delete("Patient", "gone")
    return Site(mine, theirs)


HIDDEN: dict[str, Try] = {
    "read": lambda repository: repository.current("Patient", "p2"),
    "read of a deleted one": lambda repository: repository.current("Patient", "gone"),
    "vread": lambda repository: repository.at("Patient", "p2", "1"),
    "vread of a deleted one": lambda repository: repository.at("Patient", "gone", "1"),
    "vread of another version": lambda repository: repository.at("Patient", "p1", "2"),
    "history": lambda repository: repository.history("Patient", "p2"),
    "history of a deleted one": lambda repository: repository.history("Patient", "gone"),
}


@pytest.mark.parametrize("name", HIDDEN)
async def test_what_another_tenant_has_is_not_found(site: Site, name: str) -> None:
    with pytest.raises(FhirError) as refusal:
        await HIDDEN[name](site.mine)
    assert (refusal.value.status, refusal.value.issues[0].code) == (404, "not-found")


@pytest.mark.parametrize("name", ["Patient?name=canary", "Patient?_id=p2", "Patient?_id=p2,p1&name=canary"])
async def test_what_another_tenant_has_matches_no_search(site: Site, name: str) -> None:
    page = await site.mine.search(plan_of(name))
    assert (page.versions, page.next) == ((), None)
    assert await site.mine.count(plan_of(name)) == 0


@pytest.mark.parametrize("search", ["Patient?", "Patient?_id=p1,p2", "?_type=Patient", "Patient?_lastUpdated=gt2000"])
async def test_each_finds_its_own(site: Site, search: str) -> None:
    plan = plan_of(search)
    assert [version.tenant for version in (await site.mine.search(plan)).versions] == [site.mine.tenant.name]
    assert await site.mine.count(plan) == 1
    assert await site.theirs.count(plan) == 2


@pytest.mark.parametrize("level", [("Patient", "p1"), ("Patient", None), (None, None)])
async def test_history_is_ones_own(site: Site, level: tuple[str | None, str | None]) -> None:
    versions = (await site.mine.history(*level)).versions
    assert {each.tenant for each in versions} == {site.mine.tenant.name}
    assert not [each for each in versions if CANARY.encode() in each.body]


async def test_existence_is_ones_own(site: Site) -> None:
    keys = [("Patient", "p1"), ("Patient", "p2"), ("Observation", "o2")]
    assert await site.mine.existing(keys) == {("Patient", "p1")}


async def everything(repository: Repository) -> list[Any]:
    return [(each.resource_type, each.resource_id, each.version_id) for each in (await repository.history()).versions]


WRITES: dict[str, Try] = {
    "create": lambda repository: repository.create(patient("p2"), resource_id="p2"),
    "update": lambda repository: repository.update(patient("p1", "Jones")),
    "update as create": lambda repository: repository.update(patient("p2", "Jones")),
    "bring back": lambda repository: repository.update(patient("gone", "Jones")),
    "delete": lambda repository: repository.delete("Patient", "p1"),
    "delete of a foreign one": lambda repository: repository.delete("Patient", "p2"),
    "put many": lambda repository: repository.put_many([patient("p1", "Jones"), patient("p2", "Jones")]),
    "transaction": lambda repository: repository.transaction(lambda inside: inside.update(patient("p2", "Jones"))),
    "claim": lambda repository: repository.transaction(lambda inside: inside.claim("Patient?identifier=1")),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_leaves_the_other_tenant_as_it_was(site: Site, name: str) -> None:
    before = await everything(site.theirs)
    await WRITES[name](site.mine)
    assert await everything(site.theirs) == before
    assert (await site.theirs.current("Patient", "p1")).version_id == 2


async def test_prefetched_states_are_ones_own(site: Site) -> None:
    async def work(inside: Repository) -> int:
        await inside.prefetch([("Patient", "p1"), ("Patient", "p2")])
        version, created = await inside.update(patient("p2"))
        assert created
        return (await inside.update(patient("p1", "Jones")))[0].version_id + version.version_id

    assert await site.mine.transaction(work) == 3


async def test_a_tenant_with_its_own_database_is_apart_too(any_store: Store, site: Site) -> None:
    name = f"{site.mine.tenant.name}-own"
    own = as_system(any_store, await any_store.tenants.create(name, database=f"{any_store.common.name}_own"))
    await own.update(patient("p1", CANARY))
    assert await own._database.resources.count_documents({}) == 1
    assert await any_store.common.resources.count_documents({"t": name}) == 0
    assert (await own.current("Patient", "p1")).version_id == 1
    assert (await site.theirs.current("Patient", "p1")).version_id == 2
    await any_store.tenants.erase(name)
    assert await own._database.resources.count_documents({}) == 0


def of_patient(store: Store, site: Site, scopes: str = "patient/*.cruds") -> Repository:
    """Patient p1 of the tenant that has p2 as well."""
    tenant = site.theirs.tenant
    granted = tuple(Scope.parse(scope) for scope in scopes.split())
    return store.repository(tenant, Caller(tenant.name, "p1", "app", granted, patient="p1"))


@pytest.mark.parametrize("name", [name for name in HIDDEN if "another version" not in name])
async def test_another_patients_resource_is_not_found(any_store: Store, site: Site, name: str) -> None:
    with pytest.raises(FhirError) as refusal:
        await HIDDEN[name](of_patient(any_store, site))
    assert refusal.value.status == 404


async def test_a_hidden_and_an_absent_resource_answer_alike(any_store: Store, site: Site) -> None:
    repository = of_patient(any_store, site)
    answers = []
    for resource_id in ("p2", "p9"):
        with pytest.raises(FhirError) as refusal:
            await repository.current("Patient", resource_id)
        answers.append(str(refusal.value).replace(resource_id, "?"))
    assert answers[0] == answers[1]


async def test_a_patient_reads_and_finds_its_own(any_store: Store, site: Site) -> None:
    repository = of_patient(any_store, site)
    assert (await repository.current("Patient", "p1")).version_id == 2
    assert [version.resource_id for version in (await repository.search(plan_of("Patient?"))).versions] == ["p1"]
    assert await repository.count(plan_of("Observation?code=8867-4")) == 1
    assert await repository.count(plan_of("Observation?subject=Patient/p2")) == 0
    keys = [("Patient", "p1"), ("Patient", "p2"), ("Observation", "o1"), ("Observation", "o2")]
    assert await repository.existing(keys) == {("Patient", "p1"), ("Observation", "o1")}


FORBIDDEN: dict[str, Try] = {
    "overwrite another's": lambda repository: repository.update(observation("o2", "p1")),
    "move one's own away": lambda repository: repository.update(observation("o1", "p2")),
    "create for another": lambda repository: repository.create(observation("o3", "p2")),
    "create over another's": lambda repository: repository.create(observation("o2", "p1"), resource_id="o2"),
    "put many for another": lambda repository: repository.put_many([observation("o3", "p2")]),
    "in a transaction": lambda repository: repository.transaction(
        lambda inside: inside.update(observation("o2", "p1"))
    ),
}


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_a_patient_cannot_write_outside_its_compartment(any_store: Store, site: Site, name: str) -> None:
    before = await everything(site.theirs)
    with pytest.raises(FhirError) as refusal:
        await FORBIDDEN[name](of_patient(any_store, site))
    assert refusal.value.status == 403
    assert await everything(site.theirs) == before


async def test_in_bulk_another_patients_resource_is_not_overwritten(any_store: Store, site: Site) -> None:
    before = await everything(site.theirs)
    with pytest.raises(FhirError) as refusal:
        await of_patient(any_store, site).put_many([observation("o2", "p1")])
    assert refusal.value.status in (403, 409)
    assert await everything(site.theirs) == before


async def test_deleting_anothers_resource_is_like_deleting_nothing(any_store: Store, site: Site) -> None:
    assert await of_patient(any_store, site).delete("Observation", "o2") is None
    assert (await site.theirs.current("Observation", "o2")).version_id == 1


async def test_a_deleted_resource_of_ones_own_is_gone(any_store: Store, site: Site) -> None:
    await site.theirs.delete("Observation", "o1")
    with pytest.raises(FhirError) as refusal:
        await of_patient(any_store, site).current("Observation", "o1")
    assert refusal.value.status == 410


async def test_granular_scopes(any_store: Store, site: Site) -> None:
    category = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
    repository = of_patient(any_store, site, f"patient/Observation.cruds?category={category}")
    await site.theirs.update(observation("lab", "p1", category="laboratory"))
    assert await repository.count(plan_of("Observation?")) == 1
    assert await repository.existing([("Observation", "o1"), ("Observation", "lab")]) == {("Observation", "lab")}
    with pytest.raises(FhirError, match="no right"):
        await repository.update(observation("lab", "p1", category="vital-signs"))


async def test_no_right_is_403_before_anything_is_read(any_store: Store, site: Site) -> None:
    repository = of_patient(any_store, site, "patient/Observation.rs")
    attempts: list[Try] = [
        lambda repository: repository.current("Patient", "p1"),
        lambda repository: repository.search(plan_of("Patient?")),
        lambda repository: repository.history("Patient", "p1"),
        lambda repository: repository.update(observation("o1", "p1")),
        lambda repository: repository.create(observation("o9", "p1")),
        lambda repository: repository.delete("Observation", "o1"),
    ]
    for attempt in attempts:
        with pytest.raises(FhirError) as refusal:
            await attempt(repository)
        assert refusal.value.status == 403


async def test_a_search_of_all_types_is_one_of_the_permitted_types(any_store: Store, site: Site) -> None:
    repository = of_patient(any_store, site, "patient/Observation.rs")
    page = await repository.search(plan_of("?_lastUpdated=gt2000"))
    assert [version.resource_id for version in page.versions] == ["o1"]
