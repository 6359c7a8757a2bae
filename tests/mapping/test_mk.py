"""The sample personal health record, as resources: rows add up, what belongs together stays together."""

from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fhir_server.fhir import json, validate
from fhir_server.mapping import migration
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from seed import mk
from seed.mk_record import VITALS

PATIENTS = 60
LOINC = "http://loinc.org"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('mk') / 'mk.db'}"
    mk.write(url, rows=PATIENTS, tenant="family", seed=3)
    return url


async def run(store: Store, url: str, *tables: str, name: str = "mk-family") -> Report:
    tenant = await store.tenants.get(name) or await store.tenants.create(name)
    legacy = Source(url)
    try:
        found = migration.declared("mk", tenant)
        options = Options(source_tenant=None, error_limit=1.0)
        return await migration.migrate(store, tenant, found, legacy, opening={}, options=options, tables=tables)
    finally:
        legacy.close()


async def stored(store: Store, name: str = "mk-family", **wanted: Any) -> list[dict[str, Any]]:
    found = {"t": name, "del": False, **wanted}
    places = (store.common.resources, store.common.audit)
    return [json.trusted(bytes(each["body"])) for place in places async for each in place.find(found)]


def codes(resource: dict[str, Any]) -> list[dict[str, str]]:
    return [{name: each[name] for name in ("system", "code")} for each in resource["code"].get("coding", [])]


async def test_every_row_is_accounted_for_and_a_second_run_changes_nothing(store: Store, url: str) -> None:
    report = await run(store, url, name="mk-whole")
    declared = migration.declared("mk")
    assert [each.table for each in report.tables] == [name for name in declared.documented if name in declared.tables]
    for each in report.tables:
        assert each.rows == sum(each.counts.values())
        assert each.rows
        assert each.counts["quarantined"] <= max(3, 0.03 * each.rows), each.as_json()
    resources = await stored(store, "mk-whole")
    records = await store.common.features.count_documents({"tenant_id": "mk-whole"})
    assert len(resources) + records == sum(sum(each.resources.values()) for each in report.tables)
    for resource in resources:
        validate.check(resource)
    again = await run(store, url, name="mk-whole")
    assert {status for each in again.tables for status in each.counts if each.counts[status]} == {"unchanged"}


async def test_a_changed_contact_changes_the_patient_too(store: Store, url: str) -> None:
    await run(store, url, "patients", "emergency_contacts")
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE emergency_contacts SET is_active = 1, name = 'Zoe Zeta' WHERE patient_id = 7"))
    report = await run(store, url, "patients", "emergency_contacts")
    assert [each.resources.total() - each.resources["Provenance"] for each in report.tables] == [1, 1]
    [patient] = [each for each in await stored(store, rt="Patient") if each["identifier"][-1]["value"] == "7"]
    assert patient["contact"][0]["name"]["family"] == "Zeta"


async def test_the_parts_of_vital_signs_are_all_there(store: Store, url: str) -> None:
    await run(store, url, "vitals")
    observations = {each["id"]: each for each in await stored(store, rt="Observation")}
    panels = [each for each in observations.values() if {"system": LOINC, "code": "85353-1"} in codes(each)]
    assert len(panels) == VITALS * PATIENTS
    members = [each["reference"].partition("/")[2] for panel in panels for each in panel.get("hasMember", [])]
    assert len(members) == len(set(members)) > 4 * len(panels)
    assert set(members) <= observations.keys()
