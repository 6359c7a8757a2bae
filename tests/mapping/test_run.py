"""The laws of a migration on a real MongoDB: rows add up, a second run changes nothing, pages do not matter."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fhir_server.fhir import json, validate
from fhir_server.fhir.outcome import FhirError
from fhir_server.mapping import migration, snapshot
from fhir_server.mapping.outcome import STATUSES, Report
from fhir_server.mapping.retry import Wanted
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from fhir_server.store.mappings import MappingStates
from seed import pms as sample
from tests.mapping.running import Run

CLIENTS = 60
Change = Callable[[str], None]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'pms.db'}"
    sample.write(url, rows=CLIENTS, tenant="practice", seed=11)
    return url


@pytest.fixture
def sql(url: str) -> Change:
    def change(statement: str) -> None:
        with create_engine(url).begin() as connection:
            connection.execute(text(statement))

    return change


@pytest.fixture
def run(store: Store, url: str, request: pytest.FixtureRequest) -> Run:
    name = "t" + "".join(each for each in request.node.name.lower().replace("_", "-") if each.isalnum() or each == "-")
    return Run(store, name[:60].rstrip("-"), url)


def counts(report: Report) -> dict[str, Counter[str]]:
    return {each.table: each.counts for each in report.tables}


async def test_rows_add_up_and_every_resource_is_valid(run: Run) -> None:
    report = await run()
    assert [each.table for each in report.tables] == [each.table for each in migration.declared("pms").in_order()]
    for each in report.tables:
        assert each.rows == sum(each.counts.values())
        assert each.rows == Source(run.url).count(migration.declared("pms").tables[each.table], "practice")
        assert set(each.counts) <= set(STATUSES)
    tenant = await run.store.tenants.get(run.tenant)
    assert tenant is not None
    places = (run.store.common.resources, run.store.common.audit)
    documents = [each for place in places async for each in place.find({"t": run.tenant, "del": False})]
    records = await run.store.common.features.count_documents({"tenant_id": run.tenant})
    assert len(documents) + records == sum(sum(each.resources.values()) for each in report.tables)
    assert records
    for document in documents:
        validate.check(json.trusted(bytes(document["body"])))


async def test_a_second_run_changes_nothing(run: Run) -> None:
    await run()
    before = await run.everything()
    report = await run()
    for each in report.tables:
        assert each.counts["unchanged"] == each.rows
        assert not each.resources
    assert await run.everything() == before
    assert await run.store.common.history.count_documents({"t": run.tenant}) == 0


async def test_page_size_does_not_matter(store: Store, url: str) -> None:
    small, large = Run(store, "pages-small", url), Run(store, "pages-small-too", url)
    await small(page=7)
    await large(page=1000)
    renamed = [
        {key.replace("pages-small-too", "x").split("|")[1] for key in await each.everything()}
        for each in (small, large)
    ]
    assert renamed[0] == renamed[1]
    assert len(await small.everything()) == len(await large.everything())


async def test_a_changed_row_writes_one_new_version(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'F', last_name = 'Before' WHERE id = 1")
    await run("clients")
    sql("UPDATE clients SET last_name = 'After', updated_at = '2025-07-01 10:00:00' WHERE id = 1")
    report = await run("clients")
    assert report.tables[0].counts["unchanged"] == CLIENTS - 1
    patient = await run.resource("pms/clients/1/Patient", "Patient")
    assert patient["name"][0]["family"] == "After"
    assert patient["meta"]["versionId"] == "2"


async def test_an_output_that_a_row_no_longer_gives_is_deleted(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'F', primary_diagnosis = 'Grief' WHERE id = 2")
    await run("clients")
    await run.resource("pms/clients/2/Condition#primary", "Condition")
    sql("UPDATE clients SET primary_diagnosis = NULL, primary_diagnosis_code = NULL WHERE id = 2")
    report = await run("clients")
    assert report.tables[0].resources["Condition (deleted)"] == 1
    with pytest.raises(FhirError, match="has been deleted"):
        await run.resource("pms/clients/2/Condition#primary", "Condition")
    assert (await run.states("clients", "2"))["2", "Condition#primary"]["status"] == "deleted"
    assert (await run("clients")).tables[0].counts["unchanged"] == CLIENTS
    sql("UPDATE clients SET primary_diagnosis = 'Grief' WHERE id = 2")
    await run("clients")
    assert (await run.resource("pms/clients/2/Condition#primary", "Condition"))["code"]["text"] == "Grief"


async def test_a_row_marked_as_deleted_becomes_inactive_or_is_deleted(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, status = 'active', gender = 'F', primary_diagnosis = 'x' WHERE id = 3")
    await run("clients")
    sql("UPDATE clients SET deleted_at = '2025-06-30 10:00:00' WHERE id = 3")
    report = await run("clients")
    assert report.tables[0].counts["deleted"] == 1
    assert (await run.resource("pms/clients/3/Patient", "Patient"))["active"] is False
    assert (await run.resource("pms/clients/3/Account", "Account"))["status"] == "inactive"
    with pytest.raises(FhirError, match="has been deleted"):
        await run.resource("pms/clients/3/Condition#primary", "Condition")
    assert (await run("clients")).tables[0].counts["unchanged"] == CLIENTS


async def test_a_row_that_is_gone_is_found_when_asked(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'F' WHERE id = 4")
    await run("clients")
    sql("DELETE FROM clients WHERE id = 4")
    assert (await run("clients")).tables[0].removed == 0
    assert (await run("clients", reconcile=True)).tables[0].removed == 1
    assert (await run.resource("pms/clients/4/Patient", "Patient"))["active"] is False
    assert (await run("clients", reconcile=True)).tables[0].removed == 0


async def test_a_bad_row_is_kept_out_explained_and_sealed(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'zz', first_name = 'Canary' WHERE id = 5")
    report = await run("clients")
    assert report.tables[0].counts["quarantined"] >= 1
    state = (await run.states("clients", "5"))["5", "*"]
    assert state["status"] == "quarantined"
    assert [(each["code"], each["column"]) for each in state["errors"]] == [("UNMAPPED_CODE", "gender")]
    assert "zz" not in str(state["errors"])
    with pytest.raises(FhirError):
        await run.resource("pms/clients/5/Patient", "Patient")
    tenant = await run.store.tenants.get(run.tenant)
    assert tenant is not None
    kept = await MappingStates(run.store, tenant).snapshot("pms", "clients", "5")
    assert kept is not None
    assert b"Canary" not in bytes(kept["row"])
    key = snapshot.row_key(await run.store.keys.cursor(run.tenant))
    assert snapshot.unseal(key, run.tenant, "pms.clients", "5", bytes(kept["row"]))["first_name"] == "Canary"

    again = await run("clients")
    assert again.tables[0].counts["unchanged"] == CLIENTS
    assert again.tables[0].still_quarantined == report.tables[0].counts["quarantined"]

    sql("UPDATE clients SET gender = 'F' WHERE id = 5")
    await run("clients")
    assert (await run.resource("pms/clients/5/Patient", "Patient"))["gender"] == "female"
    assert (await run.states("clients", "5"))["5", "*"]["status"] == "mapped"
    assert (await run("clients")).tables[0].counts["unchanged"] == CLIENTS


async def test_rows_in_quarantine_are_tried_again(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'zz' WHERE id IN (5, 6, 7)")
    await run("clients")
    sql("UPDATE clients SET gender = 'F' WHERE id IN (5, 6)")
    again = await run.retry(Wanted(keys={"clients": ["5"]}))
    assert [(each.table, each.rows, each.counts["quarantined"]) for each in again.tables] == [("clients", 1, 0)]
    assert (await run.resource("pms/clients/5/Patient", "Patient"))["gender"] == "female"
    assert (await run.retry(Wanted(changed=True))).tables == []
    sql("DELETE FROM clients WHERE id = 7")
    rest = (await run.retry(Wanted(tables=["clients"]))).tables[0]
    assert rest.counts["quarantined"] == rest.rows - 1, "row 7 comes from its snapshot, and is still bad"
    assert (await run.resource("pms/clients/6/Patient", "Patient"))["gender"] == "female"


async def test_a_row_that_is_gone_comes_from_its_snapshot(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'zz', date_of_birth = '1980-02-03' WHERE id = 5")
    await run("clients")
    sql("DELETE FROM clients WHERE id = 5")
    await run.retry(Wanted(tables=["clients"]), gender_of_zz="female")
    patient = await run.resource("pms/clients/5/Patient", "Patient")
    assert (patient["gender"], patient["birthDate"]) == ("female", "1980-02-03")


async def test_a_bad_change_leaves_what_was_stored(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'F' WHERE id = 6")
    await run("clients")
    sql("UPDATE clients SET gender = 'zz' WHERE id = 6")
    assert (await run("clients")).tables[0].counts["unchanged"] == CLIENTS - 1
    assert (await run.resource("pms/clients/6/Patient", "Patient"))["gender"] == "female"
    sql("UPDATE clients SET gender = 'F' WHERE id = 6")
    assert (await run("clients")).tables[0].counts["unchanged"] == CLIENTS
    assert (await run("clients")).tables[0].still_quarantined == 0


async def test_rows_of_one_claim_are_one_resource(run: Run, sql: Change) -> None:
    columns = "id, tenant_id, client_id, provider_id, transaction_type, transaction_date, billing_code, amount"
    for number, amount in ((9001, 100), (9002, 50)):
        values = f"{number}, 'practice', 1, 1, 'charge', '2025-01-02', '90837', {amount}"
        sql(f"INSERT INTO ledger ({columns}) VALUES ({values})")
    sql("UPDATE ledger SET insurance_claim_number = 'CLM-X', claim_status = 'paid' WHERE id > 9000")
    await run("ledger", page=1)
    claim = await run.resource("pms/ledger/~CLM-X/Claim", "Claim")
    assert [item["sequence"] for item in claim["item"]] == [1, 2]
    assert str(claim["total"]["value"]) == "150.00"
    sql("UPDATE ledger SET amount = 75, updated_at = '2025-07-01 00:00:00' WHERE id = 9002")
    await run("ledger")
    assert str((await run.resource("pms/ledger/~CLM-X/Claim", "Claim"))["total"]["value"]) == "175.00"
    sql("UPDATE ledger SET insurance_claim_number = 'CLM-Y' WHERE id = 9002")
    await run("ledger")
    assert len((await run.resource("pms/ledger/~CLM-X/Claim", "Claim"))["item"]) == 1
    assert len((await run.resource("pms/ledger/~CLM-Y/Claim", "Claim"))["item"]) == 1
    sql("UPDATE ledger SET insurance_claim_number = 'CLM-Y' WHERE id = 9001")
    await run("ledger")
    with pytest.raises(FhirError, match="has been deleted"):
        await run.resource("pms/ledger/~CLM-X/Claim", "Claim")
    assert (await run("ledger")).tables[0].counts["unchanged"] == (await run("ledger")).tables[0].rows


async def test_payers_are_shared_and_the_first_row_names_them(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET deleted_at = NULL, gender = 'F', insurance_provider = 'Zeta Health' WHERE id = 7")
    sql("UPDATE clients SET deleted_at = NULL, gender = 'F', insurance_provider = ' ZETA  health.' WHERE id = 8")
    report = await run("clients", page=1)
    payers = report.tables[0].resources["Organization"]
    assert (await run.resource("pms/clients/~ZETA HEALTH/Organization#payer", "Organization"))["name"] == "Zeta Health"
    names = await run.store.common.resources.count_documents({"t": run.tenant, "rt": "Organization"})
    assert names == payers
    sql("UPDATE clients SET city = 'Elsewhere' WHERE id = 8")
    assert "Organization" not in (await run("clients")).tables[0].resources


async def test_rows_without_a_tenant_and_rows_of_others(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET tenant_id = NULL WHERE id = 9")
    sql("UPDATE clients SET tenant_id = 'stranger' WHERE id = 10")
    sql("INSERT INTO appointments (id, tenant_id, client_id, status) VALUES (5001, 'stranger', 1, 'completed')")
    columns = "id, tenant_id, client_id, appointment_id, transaction_type"
    sql(f"INSERT INTO ledger ({columns}) VALUES (5001, 'practice', 1, 5001, 'charge')")
    await run("clients", "ledger")
    state = await run.states("clients", "9", "10")
    assert [each["code"] for each in state["9", "*"]["errors"]] == ["TENANT_UNRESOLVED"]
    assert not any(key == "10" for key, _ in state), "rows of another tenant are not read"
    crossing = (await run.states("ledger", "5001"))["5001", "*"]
    assert [(each["code"], each["column"]) for each in crossing["errors"]] == [("CROSS_TENANT_REF", "appointment_id")]


async def test_too_many_bad_rows_end_the_run(run: Run, sql: Change) -> None:
    sql("UPDATE appointments SET status = 'zz'")
    sql("UPDATE appointments SET status = status || id WHERE id > 0")
    columns = "tenant_id, client_id, status"
    sql(f"INSERT INTO appointments (id, {columns}) SELECT id + 10000, {columns} FROM appointments")
    sql(f"INSERT INTO appointments (id, {columns}) SELECT id + 20000, {columns} FROM appointments")
    report = await run(page=100, error_limit=0.05)
    assert report.tables[-1].table == "appointments"
    assert report.failed
    assert report.tables[-1].rows < 480
    assert "in quarantine" in (report.tables[-1].stopped or "")


async def test_only_rows_changed_since_are_read_when_asked(run: Run, sql: Change) -> None:
    await run("clients")
    sql("UPDATE clients SET city = 'Elsewhere', updated_at = '2030-01-01 00:00:00' WHERE id IN (11, 12)")
    report = await run("clients", since="2029-12-31 00:00:00")
    assert report.tables[0].rows == 2


async def test_a_dry_run_says_the_same_and_writes_nothing(run: Run, sql: Change) -> None:
    def told(report: Report) -> list[Any]:
        return [(each.table, each.counts, each.resources, each.findings, each.dangling) for each in report.tables]

    rehearsed = await run(dry_run=True, page=25)
    assert await run.everything() == {}
    assert await run.states("clients", "1") == {}
    assert told(rehearsed) == told(await run(page=25))
    sql("UPDATE clients SET deleted_at = NULL, gender = 'zz' WHERE id = 5")
    sql("UPDATE clients SET last_name = 'Changed', primary_diagnosis = NULL, primary_diagnosis_code = NULL")
    sql("DELETE FROM appointments WHERE id = 7")
    before = await run.everything()
    rehearsed = await run(dry_run=True, reconcile=True)
    assert await run.everything() == before
    assert told(rehearsed) == told(await run(reconcile=True))


async def test_a_row_whose_states_were_written_down_in_part_is_mapped_again(run: Run) -> None:
    await run("clients")
    states = run.store.common.mappings
    of_row = {"tenant_id": run.tenant, "source_table": "clients", "source_pk": "1"}
    assert await states.count_documents(of_row) > 1
    await states.delete_one(of_row)
    report = await run("clients")
    assert report.tables[0].counts["unchanged"] == CLIENTS, "the same resources, and so the same row"
    assert all([each["states"] == await states.count_documents(of_row) async for each in states.find(of_row)])


async def test_a_missing_key_leaves_the_value_out_and_says_so(run: Run) -> None:
    tenant = await run.store.tenants.create(run.tenant)
    source = Source(run.url)
    report = await migration.migrate(
        run.store,
        tenant,
        migration.declared("pms"),
        source,
        opening={},
        options=Options("practice"),
        tables=["clients"],
    )
    source.close()
    assert report.tables[0].findings["DECRYPT_FAILED ssn_encrypted warning"] > 0
    assert report.tables[0].counts["mapped_with_warnings"] > 0


async def test_states_say_where_a_resource_comes_from(run: Run) -> None:
    report = await run("providers")
    state = (await run.states("providers", "1"))["1", "Practitioner"]
    expected = {
        "tenant_id": run.tenant,
        "source_system": "pms",
        "source_table": "providers",
        "source_pk": "1",
        "output": "Practitioner",
        "resource_type": "Practitioner",
        "resource_version": 1,
        "fhir_version": "4.0.1",
        "mapping_name": "pms.providers",
        "run_id": report.run_id,
        "attempts": 1,
    }
    assert {name: state[name] for name in expected} == expected
    assert len(state["source_hash"]) == 32
    assert abs((state["last_mapped_at"].replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 60


def test_a_key_that_is_none_is_refused_by_class() -> None:
    with pytest.raises(ValueError, match="class 'pii'"):
        migration.keys(migration.declared("pms"), ["pii=short"])
    with pytest.raises(ValueError, match="no key class 'pi'"):
        migration.keys(migration.declared("pms"), ["pi=short"])
    assert migration.keys(migration.declared("pms"), [f"pii={sample.SAMPLE_KEY}"]).keys() == {"pii"}


async def test_a_deleted_row_leaves_what_belongs_to_a_value(run: Run, sql: Change) -> None:
    sql("UPDATE clients SET insurance_provider = 'Aetna', secondary_insurance_provider = NULL")
    sql("UPDATE clients SET deleted_at = '2024-01-01 10:00:00' WHERE id = 1")
    report = await run("clients")
    assert report.tables[0].resources["Organization"] == 1
    payer = await run.resource("pms/clients/~AETNA/Organization#payer", "Organization")
    assert payer["active"] is True
