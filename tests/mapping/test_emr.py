"""The sample EMR, from its database to resources: rows add up, tampering is seen, locked rows do not change."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fhir_server.access.caller import Caller
from fhir_server.fhir import json, validate
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.table import context, perform
from fhir_server.mapping import migration
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from seed import emr
from seed.sealing import SAMPLE_KEY

PATIENTS = 200
Run = Callable[..., Any]


def source(tmp_path: Path, rows: int = PATIENTS) -> str:
    url = f"sqlite:///{tmp_path / 'emr.db'}"
    emr.write(url, rows=rows, tenant="practice", seed=3)
    return url


async def run(store: Store, name: str, url: str, clinic: str = "1", *tables: str) -> Report:
    tenant = await store.tenants.get(name) or await store.tenants.create(name)
    found = migration.declared("emr", tenant)
    opening = migration.keys(found, [f"pii={SAMPLE_KEY}"])
    legacy = Source(url)
    try:
        options = Options(source_tenant=clinic, error_limit=1.0)
        return await migration.migrate(store, tenant, found, legacy, opening=opening, options=options, tables=tables)
    finally:
        legacy.close()


def changed(url: str, statement: str) -> None:
    with create_engine(url).begin() as connection:
        connection.execute(text(statement))


def counts(report: Report, table: str) -> Counter[str]:
    return next(each.counts for each in report.tables if each.table == table)


async def test_every_table_becomes_valid_resources_and_a_second_run_changes_nothing(
    store: Store, tmp_path: Path
) -> None:
    url = source(tmp_path)
    report = await run(store, "emr-whole", url)
    documented = migration.declared("emr").documented
    assert [each.table for each in report.tables] == list(documented)
    assert all(each.rows == sum(each.counts.values()) for each in report.tables)
    assert all(each.rows for each in report.tables)
    places = (store.common.resources, store.common.audit)
    documents = [each for place in places async for each in place.find({"t": "emr-whole", "del": False})]
    records = await store.common.features.count_documents({"tenant_id": "emr-whole"})
    assert len(documents) + records == sum(sum(each.resources.values()) for each in report.tables)
    for document in documents:
        validate.check(json.trusted(bytes(document["body"])))
    again = await run(store, "emr-whole", url)
    assert {status for each in again.tables for status in each.counts} == {"unchanged"}
    assert sum(sum(each.resources.values()) for each in again.tables) == 0


async def test_each_clinic_has_rows_of_its_own_and_what_is_for_all(store: Store, tmp_path: Path) -> None:
    url = source(tmp_path, 60)
    second = await run(store, "emr-second", url, "2", "patients", "vitals", "layout_templates", "layout_sections")
    rows = {each.table: each.rows for each in second.tables}
    assert rows["patients"] == 6
    assert rows["layout_templates"] == 1
    assert rows["layout_sections"] == 3
    assert not any(each.findings["TENANT_UNRESOLVED clinic_id error"] for each in second.tables)


async def test_what_was_changed_after_it_was_signed_or_logged_is_refused(store: Store, tmp_path: Path) -> None:
    url = source(tmp_path, 30)
    changed(url, "UPDATE electronic_signatures SET signer_name = 'x', signer_id = 1 WHERE id = 1")
    changed(url, "UPDATE encounters SET assessment = 'nothing' WHERE status = 'signed'")
    changed(url, "DELETE FROM audit_logs WHERE id = (SELECT id FROM audit_logs WHERE clinic_id = 1 LIMIT 1 OFFSET 5)")
    report = await run(store, "emr-tampered", url, "1", "encounters", "electronic_signatures", "audit_logs")
    assert counts(report, "encounters")["quarantined"] >= 20
    found = {each.table: each.findings for each in report.tables}
    assert found["encounters"]["SIGNATURE_MISMATCH content_hash error"] >= 20
    assert found["audit_logs"]["HASH_CHAIN_BROKEN previous_log_hash error"] == 1


async def test_a_locked_encounter_stays_as_it_was_unless_it_is_amended(store: Store, tmp_path: Path) -> None:
    url = source(tmp_path, 20)
    await run(store, "emr-locked", url, "1", "encounters")
    changed(url, "DELETE FROM electronic_signatures")
    assert counts(await run(store, "emr-locked", url, "1", "encounters"), "encounters")["quarantined"] == 0
    changed(url, "UPDATE encounters SET specialty = 'orthopaedics' WHERE status IN ('signed', 'draft')")
    report = await run(store, "emr-locked", url, "1", "encounters")
    refused = next(each.findings for each in report.tables)["LOCKED_ROW_CHANGED emr.encounters error"]
    assert refused == counts(report, "encounters")["quarantined"] > 0
    changed(url, "UPDATE encounters SET is_amended = 1, status = 'amended' WHERE status = 'signed'")
    assert counts(await run(store, "emr-locked", url, "1", "encounters"), "encounters")["quarantined"] == 0


async def test_signatures_of_the_source_say_what_was_checked_and_locked_rows_stay_locked(
    store: Store, tmp_path: Path
) -> None:
    await run(store, "emr-signed", source(tmp_path, 20), "1", "encounters", "electronic_signatures")
    tenant = await store.tenants.latest("emr-signed")
    repository = store.repository(tenant, Caller.system(tenant.name, "tests"))
    ctx = context(repository, base="http://fhir.example.org/fhir/emr-signed", cursor_key=b"k" * 32)
    wanted = {"t": tenant.name, "rt": "DocumentReference", "lock": "final"}
    locked = await store.common.resources.find_one(wanted)
    assert locked is not None, "a note of a visit that the source has locked"
    place = f"DocumentReference/{locked['id']}"
    found = str(json.trusted((await perform(ctx, EntryRequest("GET", f"{place}/$verify-signature"))).body or b""))
    assert "'valueCode': 'final'" in found
    assert "'valueCode': 'imported'" in found
    for checked in (
        "the hash of the content was that of the record",
        "the hash of the signature was that of its parts",
    ):
        assert checked in found
    with pytest.raises(FhirError, match="is final"):
        await repository.delete("DocumentReference", locked["id"])
