"""Legal holds, and why the record of a patient may not be destroyed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.holds import Holds
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import observation, patient

TODAY = datetime(2035, 6, 1, tzinfo=UTC)


def holds_of(store: Store) -> Holds:
    return Holds(store.of, lambda: TODAY)


async def filled(store: Store) -> Repository:
    """Two patients of 1970, last treated in May 2024."""
    repository = as_system(store, await new_tenant(store))
    for name in ("p1", "p2"):
        await repository.update(patient(name, birthDate="1970-02-03"))
        await repository.update(observation(f"o-{name}", name))
    return repository


async def refused(repository: Repository, resource_type: str, resource_id: str) -> None:
    with pytest.raises(FhirError, match="legal hold") as refusal:
        await repository.delete(resource_type, resource_id)
    assert refusal.value.status == 409


async def test_what_is_under_hold_is_not_deleted_until_it_is_released(any_store: Store) -> None:
    repository = await filled(any_store)
    tenant, holds = repository.tenant, holds_of(any_store)
    hold = await holds.place(tenant, "Patient/p1", "a lawsuit", "counsel")
    await refused(repository, "Patient", "p1")
    await refused(repository, "Observation", "o-p1")
    assert await repository.delete("Observation", "o-p2")
    assert [each.name for each in await holds.listed(tenant)] == [hold.name]
    released = await holds.release(tenant, hold.name, "settled", "the court")
    assert (released.reason, released.release_reason, released.active) == ("a lawsuit", "settled", False)
    assert await repository.delete("Observation", "o-p1")
    assert await repository.delete("Patient", "p1")
    assert await holds.listed(tenant) == []
    assert [each.released_by for each in await holds.listed(tenant, released=True)] == ["the court"]
    with pytest.raises(FhirError, match="was released"):
        await holds.release(tenant, hold.name, "again", "somebody")


async def test_a_hold_on_one_resource_keeps_the_patient_from_being_destroyed(any_store: Store) -> None:
    repository = await filled(any_store)
    holds = holds_of(any_store)
    assert await holds.refusal(repository.tenant, "p1") is None
    await holds.place(repository.tenant, "Observation/o-p1", "a lawsuit", "counsel")
    await refused(repository, "Observation", "o-p1")
    assert "Observation/o-p1 is under the legal hold" in str(await holds.refusal(repository.tenant, "p1"))
    assert await repository.delete("Patient", "p1"), "only what the hold is on is kept from being deleted"


async def test_a_hold_is_on_something_that_is_or_was_there(any_store: Store) -> None:
    repository = await filled(any_store)
    await repository.delete("Observation", "o-p1")
    await holds_of(any_store).place(repository.tenant, "Observation/o-p1", "deleted by mistake", "counsel")
    for act in (
        holds_of(any_store).place(repository.tenant, "Patient/p9", "x", "y"),
        holds_of(any_store).release(repository.tenant, "none", "x", "y"),
    ):
        with pytest.raises(FhirError) as refusal:
            await act
        assert refusal.value.status == 404


async def test_in_a_transaction_and_by_a_mirror_of_a_source(store: Store) -> None:
    """A row that is gone from its source leaves a tombstone, and all versions under it."""
    repository = await filled(store)
    await holds_of(store).place(repository.tenant, "Patient/p1", "a lawsuit", "counsel")
    with pytest.raises(FhirError, match="legal hold"):
        await repository.transaction(lambda inside: inside.delete("Observation", "o-p1"))
    assert await repository.delete("Observation", "o-p1", mirrored=True)
    assert (await repository.at("Observation", "o-p1", "1")).version_id == 1


async def test_why_a_record_may_not_be_destroyed(any_store: Store) -> None:
    repository = await filled(any_store)
    tenant, holds = repository.tenant, holds_of(any_store)
    assert await holds.refusal(tenant, "p1") is None
    assert await holds.refusal(tenant, "nobody") is None
    early = Holds(any_store.of, lambda: TODAY.replace(year=2034, month=5, day=6))
    assert "10 years after the last treatment on 2024-05-06" in str(await early.refusal(tenant, "p1"))
    await repository.update(observation("o2", "p1") | {"effectiveDateTime": "2030-01-01"})
    assert "until 2040-01-01" in str(await holds.refusal(tenant, "p1"))
    assert await holds.refusal(tenant, "p2") is None


async def test_a_day_of_the_source_and_a_rule_of_the_tenant_keep_longer(any_store: Store) -> None:
    repository = await filled(any_store)
    tenant, holds = repository.tenant, holds_of(any_store)
    records = FeatureRecords(any_store, tenant)
    hold = {"resourceType": "retention/hold", "id": "h1", "subject": "Patient/p1", "until": "2040-12-31"}
    await records.put([hold])
    assert "until 2040-12-31: the source" in str(await holds.refusal(tenant, "p1"))
    assert await holds.refusal(tenant, "p2") is None
    for until, said in (("2041", "until 2041-12-31"), ("2041-02", "until 2041-02-28"), ("soon", "until 9999-12-31")):
        await records.put([hold | {"until": until}])
        assert said in str(await holds.refusal(tenant, "p1"))
    rule = {"name": "ours", "source": "policy 7", "class": "record", "event": "treatment", "years": 30}
    await records.put([{"resourceType": "retention/rule", "id": "ours", "rule": rule}])
    assert "until 2054-05-06: 30 years" in str(await holds.refusal(tenant, "p2"))


async def test_merged_patients_are_one_person(any_store: Store) -> None:
    """The hold, the birth and the last treatment of any of them count for all, in either direction."""
    repository = await filled(any_store)
    tenant, holds = repository.tenant, holds_of(any_store)
    link = [{"other": {"reference": "Patient/p2"}, "type": "replaces"}]
    await repository.update(patient("p1", birthDate="1970-02-03", link=link))
    await repository.update(observation("o3", "p2") | {"effectiveDateTime": "2031-01-01"})
    for each in ("p1", "p2"):
        assert "until 2041-01-01" in str(await holds.refusal(tenant, each))
    await holds.place(tenant, "Patient/p2", "a lawsuit", "counsel")
    assert "legal hold" in str(await holds.refusal(tenant, "p1"))


@pytest.mark.parametrize("change", [{"birthDate": "2009"}, {}], ids=["a minor", "birth unknown"])
async def test_who_is_young_or_of_unknown_age_is_kept(store: Store, change: dict[str, str]) -> None:
    repository = await filled(store)
    await repository.update({"resourceType": "Patient", "id": "p1", **change})
    said = str(await holds_of(store).refusal(repository.tenant, "p1"))
    assert ("until 2044-05-06: 20 years" in said) if change else ("birth is not known" in said)


async def test_what_was_deleted_counts_with_what_it_was(any_store: Store) -> None:
    repository = await filled(any_store)
    await repository.update(observation("o4", "p1") | {"effectiveDateTime": "2032-01-01"})
    for each in (("Observation", "o4"), ("Patient", "p1")):
        await repository.delete(*each)
    assert "until 2042-01-01" in str(await holds_of(any_store).refusal(repository.tenant, "p1"))


async def test_a_treatment_that_goes_on_and_a_record_of_a_class(any_store: Store) -> None:
    repository = await filled(any_store)
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {"code": "AMB"}}
    about = {"subject": {"reference": "Patient/p1"}, "period": {"start": "2020-01-01"}}
    await repository.update(encounter | about)
    assert "Encounter/e1 has no end" in str(await holds_of(any_store).refusal(repository.tenant, "p1"))
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z04.41"}
    ended = {"period": {"start": "2020-01-01", "end": "2020-01-02"}, "reasonCode": [{"coding": [coding]}]}
    await repository.update(encounter | about | ended)
    said = str(await holds_of(any_store).refusal(repository.tenant, "p1"))
    assert "until 2040-01-01: 20 years after creation" in said
