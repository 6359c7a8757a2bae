"""Retention: what is due, what goes, what stays, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import pytest

from fhir_server.fhir.audit import Agent
from fhir_server.fhir.audit_kinds import HUMAN
from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs import retention as work
from fhir_server.jobs.retention import Approval, Line
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.mappings import MappingStates
from fhir_server.store.purge import Purge
from fhir_server.store.repository import Repository
from fhir_server.store.users import User
from tests.store.conftest import any_store, as_system, memory_store, new_tenant, store  # noqa: F401 - fixtures
from tests.store.resources import observation, patient, plan_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OPERATOR = Agent((HUMAN,), identifier="urn:operator", requestor=True)
TODAY = NOW.date()
APPROVAL = Approval(("Ann", "Bob"), OPERATOR)
OLD, RECENT = "2001-02-03", "2024-02-03"


async def treated(repository: Repository, name: str, day: str, **more: Any) -> None:
    await repository.update(patient(name, birthDate="1950-01-01", **more))
    await repository.update(observation(f"o-{name}", name) | {"effectiveDateTime": day})


async def filled(found: Store) -> Repository:
    """Ada is due, Bea is treated still, Cyd is under hold, nobody knows when Dan was born."""
    repository = as_system(found, await new_tenant(found))
    for name, day in (("ada", OLD), ("bea", RECENT), ("cyd", OLD)):
        await treated(repository, name, day)
    await repository.update(patient("dan"))
    await found.holds.place(repository.tenant, "Observation/o-cyd", "a lawsuit", "counsel")
    return repository


async def due(found: Store, repository: Repository) -> list[Line]:
    return [each for each in await work.report(found, repository.tenant) if each.is_due(TODAY)]


async def left(found: Store, tenant: str, collections: Iterable[str]) -> set[str]:
    """The keys of all documents of a tenant."""
    every = [getattr(found.common, each) for each in collections]
    return {
        each["_id"].partition("|")[2] for one in every async for each in one.find({}) if each["_id"].startswith(tenant)
    }


async def test_what_is_due_when_and_why(any_store: Store) -> None:  # noqa: F811
    repository = await filled(any_store)
    heard: list[int] = []
    lines = await work.report(any_store, repository.tenant, heard.append)
    states = {each.person[0]: each.state(TODAY) for each in lines}
    assert states == {
        "Patient/ada": "due",
        "Patient/bea": "kept",
        "Patient/cyd": "held",
        "Patient/dan": "unknown",
    }
    assert sum(heard) == 7
    first = work.described(lines[0], TODAY)
    assert (first["until"], first["class"], first["rule"]) == (date(2011, 2, 3), "record", "texas-hospital")
    assert first["reason"] == f"10 years after the last treatment on {OLD}"
    assert (await due(any_store, repository))[0].person == ("Patient/ada",)


async def test_what_is_due_goes_with_all_its_versions_and_leaves_a_certificate(any_store: Store) -> None:  # noqa: F811
    repository = await filled(any_store)
    tenant = repository.tenant
    await repository.update(patient("ada", "Jones", birthDate="1950-01-01"))
    await repository.delete("Observation", "o-ada")
    audit = {"resourceType": "AuditEvent", "id": "a1", "type": {"code": "rest"}, "recorded": "2001-02-03T00:00:00Z"}
    about = {"agent": [{"requestor": True}], "source": {"observer": {"display": "x"}}}
    entity = {"entity": [{"what": {"reference": "Patient/ada"}}]}
    await repository.create({**audit, **about, **entity}, resource_id="a1")
    stored = {
        f"{rt}/{each}/{v} {sha256((await repository.at(rt, each, str(v))).body).hexdigest()}"
        for rt, each, v in (("Patient", "ada", 1), ("Patient", "ada", 2))
    }
    deleted = await repository.history("Observation", "o-ada")
    stored |= {f"Observation/o-ada/{each.version_id} {sha256(each.body).hexdigest()}" for each in deleted.versions}
    (certificate,) = await work.run(any_store, tenant, await due(any_store, repository), APPROVAL, NOW)
    assert await left(any_store, tenant.name, ["resources", "history"]) == {
        *(f"Patient|{each}" for each in ("bea", "cyd", "dan")),
        *(f"Observation|o-{each}" for each in ("bea", "cyd")),
    }
    assert "AuditEvent|a1" in await left(any_store, tenant.name, ["audit"])
    said = certificate.content
    assert said["approved_by"] == ["Ann", "Bob"]
    assert (said["persons"], said["resources"], said["versions"]) == (1, {"Observation": 1, "Patient": 1}, 4)
    (record,) = [each for each in said["records"] if each["person"]]
    assert record["person"] == ["Patient/ada"]
    assert record["reason"]["rule"] == "texas-hospital"
    assert record["digest"] == sha256("\n".join(sorted(stored)).encode()).hexdigest()
    assert await any_store.certificates.fault(certificate) is None
    assert await work.run(any_store, tenant, [], APPROVAL, NOW) == []
    with pytest.raises(FhirError) as gone:
        await repository.current("Patient", "ada")
    assert gone.value.status == 404


async def test_what_others_share_stays_until_the_last_of_them_goes(any_store: Store) -> None:  # noqa: F811
    repository = await filled(any_store)
    actor = [{"actor": {"reference": f"Patient/{each}"}, "status": "accepted"} for each in ("ada", "bea")]
    together = {"resourceType": "Appointment", "id": "both", "status": "booked", "participant": actor}
    times = {"start": "2001-02-03T10:00:00Z", "end": "2001-02-03T11:00:00Z"}
    await repository.update({**together, **times})
    (certificate,) = await work.run(any_store, repository.tenant, await due(any_store, repository), APPROVAL, NOW)
    (record,) = certificate.content["records"]
    assert record["kept"] == 1
    assert (await repository.current("Appointment", "both")).version_id == 1
    await repository.update(observation("o-bea", "bea") | {"effectiveDateTime": OLD})
    await work.run(any_store, repository.tenant, await due(any_store, repository), APPROVAL, NOW)
    assert not {each for each in await left(any_store, repository.tenant.name, ["resources"]) if "both" in each}


async def test_versions_that_were_filed_under_the_wrong_patient_go_with_that_patient(store: Store) -> None:  # noqa: F811
    repository = await filled(store)
    await repository.update(observation("moved", "ada") | {"effectiveDateTime": OLD})
    await repository.update(observation("moved", "bea") | {"effectiveDateTime": OLD})
    (certificate,) = await work.run(store, repository.tenant, await due(store, repository), APPROVAL, NOW)
    strays = [each for each in certificate.content["records"] if not each["person"]]
    assert [each["versions"] for each in strays] == [1]
    assert (await repository.current("Observation", "moved")).version_id == 2
    with pytest.raises(FhirError):
        await repository.at("Observation", "moved", "1")


async def test_rows_as_they_were_read_shares_and_large_bodies_go(store: Store) -> None:  # noqa: F811
    repository = await filled(store)
    row = {"source_system": "emr", "source_table": "patients", "status": "mapped"}
    states = MappingStates(store, repository.tenant)
    for pk, name in (("1", "ada"), ("2|x", "bea")):
        about = {**row, "source_pk": pk}
        await states.save([{**about, "output": "Patient", "resource_type": "Patient", "resource_id": name}])
        await states.keep_snapshots([{**about, "row": b"sealed"}])
    share = {"resourceType": "sharing/grant", "id": "s1", "subject": "Patient/ada"}
    await FeatureRecords(store, repository.tenant).put([share])
    note = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "subject": {"reference": "Patient/ada"},
    }
    content = [{"attachment": {"contentType": "text/plain", "data": "QUJD" * 400_000}}]
    await repository.update({**note, "content": content})
    await work.run(store, repository.tenant, await due(store, repository), APPROVAL, NOW)
    tenant = repository.tenant.name
    assert await left(store, tenant, ["mappings"]) == {"emr|patients|2||x|Patient"}
    assert await left(store, tenant, ["snapshots"]) == {"emr|patients|2||x"}
    assert not {each for each in await left(store, tenant, ["features"]) if "sharing" in each or "purge" in each}
    bodies = store.common.bodies
    assert await bodies._database["bodies.files"].count_documents({"filename": {"$regex": f"^{tenant}"}}) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", range(1, 14))
async def test_whoever_dies_leaves_the_rest_to_the_next(
    memory_store: Store,  # noqa: F811
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed before the nth write that destroys or notes something: the certificate says the same in the end."""
    repository = await filled(memory_store)
    await treated(repository, "eve", OLD)
    await repository.update(patient("ada", "Jones", birthDate="1950-01-01"))
    lines = await due(memory_store, repository)
    left_over = step

    class Killed(BaseException):
        pass

    def dying(method: Any) -> Any:
        async def called(self: Any, *given: Any, **more: Any) -> Any:
            nonlocal left_over
            left_over -= 1
            if left_over == 0:
                raise Killed
            return await method(self, *given, **more)

        return called

    with monkeypatch.context() as dangerous:
        collection = type(memory_store.common.resources)
        for name in ("delete_many", "update_one", "update_many"):
            dangerous.setattr(collection, name, dying(getattr(collection, name)))
        with pytest.raises(Killed):
            await work.run(memory_store, repository.tenant, lines, APPROVAL, NOW)
    await work.run(memory_store, repository.tenant, await due(memory_store, repository), APPROVAL, NOW)
    certificates = await memory_store.certificates.listed(repository.tenant.name)
    records = [each for one in certificates for each in one.content["records"] if each["person"]]
    assert sorted(each["person"] for each in records) == [["Patient/ada"], ["Patient/eve"]]
    assert sum(each["versions"] for each in records) == 5
    assert await Purge(memory_store.common, repository.tenant).unfinished() == []
    assert {each for each in await left(memory_store, repository.tenant.name, ["resources"]) if "ada" in each} == set()


async def test_what_a_consent_forbids_goes_with_the_consent(store: Store) -> None:  # noqa: F811
    repository = await filled(store)
    about = {"resourceType": "Consent", "id": "c1", "status": "active", "patient": {"reference": "Patient/ada"}}
    codes = {"scope": {"coding": [{"code": "patient-privacy"}]}, "category": [{"coding": [{"code": "59284-0"}]}]}
    await repository.update({**about, **codes, "policyRule": {"text": "x"}, "provision": {"type": "deny"}})

    async def rules() -> list[object]:
        return [each["body"] async for each in store.common.consents.find({"t": repository.tenant.name, "id": "c1"})]

    assert any(await rules())
    await work.run(store, repository.tenant, await due(store, repository), APPROVAL, NOW)
    assert not any(await rules())


async def test_a_hold_that_comes_after_the_report_is_respected(any_store: Store) -> None:  # noqa: F811
    repository = await filled(any_store)
    lines = await due(any_store, repository)
    await any_store.holds.place(repository.tenant, "Patient/ada", "a lawsuit", "counsel")
    assert await work.run(any_store, repository.tenant, lines, APPROVAL, NOW) == []
    assert (await repository.current("Patient", "ada")).version_id == 1


async def test_linked_patients_go_together_or_stay_together(any_store: Store) -> None:  # noqa: F811
    repository = await filled(any_store)
    await treated(repository, "old", OLD)
    link = [{"other": {"reference": "Patient/old"}, "type": "replaces"}]
    await treated(repository, "new", OLD, link=link)
    persons = [each.person for each in await due(any_store, repository)]
    assert persons == [("Patient/ada",), ("Patient/new", "Patient/old")]
    await repository.update(observation("o-old", "old") | {"effectiveDateTime": RECENT})
    assert [each.person for each in await due(any_store, repository)] == [("Patient/ada",)]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ((), "Two different people"),
        (("ann",), "Two different people"),
        (("ann", "Ann"), "Two different people"),
        (("ann", "nobody"), "nobody of this name"),
        (("ann", "gone"), "nobody of this name"),
    ],
)
async def test_two_different_people_approve(memory_store: Store, by: tuple[str, ...], said: str) -> None:  # noqa: F811
    tenant = await new_tenant(memory_store)
    for name in ("ann", "bo"):
        await memory_store.users.add(User(tenant.name, name, name.title()))
    await memory_store.users.add(User(tenant.name, "gone", "Gone", disabled=True))
    with pytest.raises(FhirError, match=said):
        await work.approval(memory_store, tenant, by, OPERATOR)
    assert (await work.approval(memory_store, tenant, ("bo", "ann"), OPERATOR)).by == ("ann", "bo")


async def test_the_trail_of_each_patient_tells_that_the_record_is_gone(store: Store) -> None:  # noqa: F811
    repository = await filled(store)
    (certificate,) = await work.run(store, repository.tenant, await due(store, repository), APPROVAL, NOW)
    found = await repository.search(plan_of("AuditEvent?patient=Patient/ada"))
    (event,) = [each.resource() for each in found.versions]
    assert event["action"] == "D"
    assert event["agent"][0]["who"]["identifier"]["value"] == "urn:operator"
    assert [each["who"]["display"] for each in event["agent"][1:]] == ["Ann", "Bob"]
    assert event["entity"][0]["name"] == f"certificate {certificate.name}"
