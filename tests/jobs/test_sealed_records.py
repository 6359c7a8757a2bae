"""Retention and masked copies of tenants that are encrypted: the same, and nothing readable is left."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest
import pytest_asyncio

from fhir_server.fhir.audit import Agent
from fhir_server.fhir.audit_kinds import HUMAN
from fhir_server.fhir.masking.project import Project
from fhir_server.fhir.outcome import FhirError
from fhir_server.jobs import retention as work
from fhir_server.jobs.cloning import clone
from fhir_server.jobs.retention import Approval
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from fhir_server.store.vault import DESTROYED
from tests.store.conftest import as_system, new_tenant
from tests.store.resources import observation, patient

OLD = "2001-02-03"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
OPERATOR = Agent((HUMAN,), identifier="urn:operator", requestor=True)


@pytest.fixture(scope="module")
def store(sealed: Store) -> Store:
    return sealed


@pytest_asyncio.fixture
async def repository(store: Store) -> Repository:
    repository = as_system(store, await new_tenant(store))
    await repository.update(patient("ada", "Roe", birthDate="1950-01-01"))
    await repository.update(observation("o1", "ada") | {"effectiveDateTime": OLD})
    await repository.update(observation("o1", "ada", code="29463-7") | {"effectiveDateTime": OLD})
    return repository


async def test_a_certificate_hashes_what_was_said_not_how_it_was_sealed(store: Store, repository: Repository) -> None:
    versions = [await repository.current("Patient", "ada")]
    versions += (await repository.history("Observation", "o1")).versions
    lines = [f"{each.location.replace('/_history', '')} {sha256(each.body).hexdigest()}" for each in versions]
    (line,) = await work.report(store, repository.tenant)
    assert line.kept.until == datetime(2011, 2, 3, tzinfo=UTC).date()
    (certificate,) = await work.run(store, repository.tenant, [line], Approval(("ann", "bo"), OPERATOR), NOW)
    (record,) = certificate.content["records"]
    assert record["digest"] == sha256("\n".join(sorted(lines)).encode()).hexdigest()
    assert await store.certificates.fault(certificate) is None
    assert certificate.content["keys"] == ["patient/ada/1"]
    (key,) = await store.key_versions(repository.tenant).of_patient("ada")
    assert key.state == DESTROYED
    with pytest.raises(FhirError, match="no Patient"):
        await repository.current("Patient", "ada")
    with pytest.raises(FhirError, match="were destroyed"):
        await repository.update(patient("ada"))


async def test_a_forensic_record_is_known_by_codes_that_cannot_be_read(store: Store) -> None:
    policy = {"codes": ["code", "reason-code", "type", "category", "_security"]}
    name = f"blind-{(await new_tenant(store)).name}"
    repository = as_system(store, await store.tenants.create(name, sensitive=policy))
    await repository.update(patient("ada", birthDate="1950-01-01"))
    await repository.update(observation("o1", "ada") | {"effectiveDateTime": OLD})
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z04.42"}
    condition = {"resourceType": "Condition", "id": "c1", "code": {"coding": [coding]}, "onsetDateTime": OLD}
    await repository.update({**condition, "subject": {"reference": "Patient/ada"}})
    (line,) = await work.report(store, repository.tenant)
    assert (line.kept.of_class, line.kept.rule) == ("forensic", "texas-forensic")


async def test_a_masked_copy_of_an_encrypted_tenant(store: Store, repository: Repository) -> None:
    project = Project(b"a secret of thirty-two bytes or so")
    done = await clone(store, repository.tenant, f"{repository.tenant.name}-test", project)
    assert done.resources == {"Patient": 1, "Observation": 1}
    copy = await store.tenants.get(f"{repository.tenant.name}-test")
    assert copy is not None
    assert copy.encrypted
    ada = await as_system(store, copy).current("Patient", project.resource_id("Patient", "ada"))
    assert b"Roe" not in ada.body
