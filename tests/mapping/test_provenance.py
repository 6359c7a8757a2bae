"""What is told about where resources come from: of each row and change, once, valid, and without what the row says."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fhir_server.access.caller import Caller
from fhir_server.fhir import validate
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.table import context as interaction_context
from fhir_server.interactions.table import perform
from fhir_server.mapping import migration
from fhir_server.mapping.compile import Draft
from fhir_server.mapping.context import Context
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.outcome import DELETED, Outcome, Report
from fhir_server.mapping.problem import MappingError
from fhir_server.mapping.provenance import BATCH, OFF, ROW, US_CORE, Origins, Stored, changes, mode
from fhir_server.mapping.rows import Rows
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from fhir_server.store.mappings import MappingStates
from seed import pms as sample

BASE = "https://x.example"
RUN = "4b1f7b0e-0c5c-4d07-9a55-1f2f3c1d8d3e"


def origins(asked: str | None = None) -> Origins:
    moment = datetime(2025, 6, 30, 12, 0, 0, 1000, tzinfo=UTC)
    return Origins(BASE, Context(Identity(BASE, "acme"), date(2025, 6, 30)), moment, asked)


def outcome(key: str = "7", known: dict[str, Any] | None = None, **more: Any) -> Outcome:
    drafts = [
        Draft("Patient", key, {"resourceType": "Patient", "id": f"p{key}"}),
        Draft("Coverage", key, {"resourceType": "Coverage", "id": f"c{key}"}),
        Draft("accounts/user", key, {"resourceType": "accounts/user", "id": f"u{key}"}),
    ]
    return Outcome(key, "hash", (), known or {}, drafts, changed_at="2025-06-29 08:00:00", **more)


def stored(**versions: int) -> Stored:
    return Stored(versions, frozenset(versions), {})


def told(pms: Any, mode: str, *outcomes: Outcome, organization: str | None = None) -> list[Resource]:
    versions = {draft.resource["id"]: 1 for each in outcomes for draft in each.drafts}
    found = list(changes(outcomes, stored(**versions)))
    return [each for _, each in origins(mode).of(pms.tables["clients"], found, RUN, organization)]


def test_of_a_row(pms: Any) -> None:
    (found,) = told(pms, ROW, outcome(), organization="Organization/o1")
    validate.check(found)
    version = pms.tables["clients"].version
    assert [each["reference"] for each in found["target"]] == ["Patient/p7/_history/1", "Coverage/c7/_history/1"]
    assert found["occurredDateTime"] == "2025-06-29T08:00:00Z"
    assert found["recorded"] == "2025-06-30T12:00:00.001Z"
    assert found["activity"]["coding"][0]["code"] == "CREATE"
    assert found["meta"]["profile"] == [US_CORE]
    assert found["entity"][0]["what"] == {
        "identifier": {"system": f"{BASE}/legacy/pms/clients", "value": "7"},
        "display": f"pms.clients pk=7 mapping=pms.clients@{version}",
    }
    assembler, transmitter = found["agent"]
    assert assembler["who"]["reference"] == f"Device/{origins().device['id']}"
    assert assembler["onBehalfOf"] == transmitter["who"] == {"reference": "Organization/o1"}


def test_the_author_of_a_change_acts_for_the_organization(pms: Any) -> None:
    said = {"author": {"reference": "Practitioner/u1"}, "occurred": "2025-06-28", "reason": [{"text": "moved"}]}
    (found,) = told(pms, ROW, outcome(change=said), organization="Organization/o1")
    validate.check(found)
    assert [each["type"]["coding"][0]["code"] for each in found["agent"]] == ["assembler", "author", "transmitter"]
    assert found["agent"][1]["who"] == {"reference": "Practitioner/u1"}
    assert found["agent"][1]["onBehalfOf"] == {"reference": "Organization/o1"}
    assert found["occurredDateTime"] == "2025-06-28"
    assert found["reason"] == [{"text": "moved"}]


@pytest.mark.parametrize("who", [{"reference": "Patient/p1"}, {"identifier": {"value": "7"}}])
def test_an_author_who_is_no_clinician_acts_for_nobody(pms: Any, who: dict[str, Any]) -> None:
    (found,) = told(pms, ROW, outcome(change={"author": who}), organization="Organization/o1")
    validate.check(found)
    assert found["agent"][1]["who"] == who
    assert "onBehalfOf" not in found["agent"][1]


def test_of_a_batch_nobody_is_the_author(pms: Any) -> None:
    (found,) = told(pms, BATCH, outcome(change={"author": {"reference": "Practitioner/u1"}}))
    assert [each["type"]["coding"][0]["code"] for each in found["agent"]] == ["assembler"]


def test_without_an_organization_the_profile_is_not_claimed(pms: Any) -> None:
    (found,) = told(pms, ROW, outcome())
    assert len(found["agent"]) == 1
    assert "profile" not in found["meta"]


def test_the_id_is_that_of_the_versions(pms: Any) -> None:
    first, again = told(pms, ROW, outcome())[0], told(pms, ROW, outcome())[0]
    assert first["id"] == again["id"]
    (later,) = changes([outcome()], stored(p7=2, c7=1, u7=1))
    assert origins().of(pms.tables["clients"], [later], RUN, None)[0][1]["id"] != first["id"]


def test_of_a_batch_there_is_one_for_each_activity(pms: Any) -> None:
    known = {"Patient": {"resource_id": "p9", "resource_version": 1, "status": "mapped"}}
    found = told(pms, BATCH, outcome(), outcome("8"), outcome("9", known))
    for each in found:
        validate.check(each)
    assert [each["activity"]["coding"][0]["code"] for each in found] == ["CREATE", "UPDATE"]
    assert len(found[0]["target"]) == 4
    assert found[0]["entity"][0]["what"]["identifier"] == {"system": f"{BASE}/mapping-run", "value": RUN}


def test_what_is_written_down_already_is_told_already() -> None:
    known = {
        "Patient": {"resource_id": "p7", "resource_version": 3, "status": "mapped"},
        "Coverage": {"resource_id": "c7", "resource_version": 1, "status": "mapped"},
    }
    nothing = Stored({"p7": 3, "c7": 1, "u7": 1}, frozenset(), {})
    assert not list(changes([outcome(known=known)], nothing))
    (found,) = changes([outcome(known=known)], Stored({"p7": 4, "c7": 1, "u7": 1}, frozenset(), {}))
    assert found.targets == ("Patient/p7/_history/4",)
    assert not found.is_new


def test_what_was_retired(pms: Any) -> None:
    state = {"resource_type": "Patient", "resource_id": "p7", "resource_version": 1, "status": "mapped"}
    gone = Outcome("7", "", (), {"Patient": state}, status=DELETED, retired=[state], is_removed=True)
    (change,) = changes([gone], Stored({}, frozenset(), {"p7": 2}))
    assert (change.activity, change.targets) == ("DELETE", ("Patient/p7/_history/2",))
    assert not list(changes([gone], Stored({}, frozenset(), {})))


def test_an_amendment_has_its_reason(pms: Any) -> None:
    (found,) = told(pms, ROW, outcome(amendment="Wrong side"))
    assert found["reason"] == [{"text": "Wrong side"}]


def test_a_time_of_change_that_is_none_is_left_out(pms: Any) -> None:
    bad = outcome()
    bad.changed_at = "soon"
    assert "occurredDateTime" not in told(pms, ROW, bad)[0]


LOCKED = """
source: pms.clients
key: $id
lock: {when: $n | is_true, amended: $b | is_true, reason: $e}
provenance: batch
columns: {id: integer!, a: text, b: boolean, e: text, n: boolean}
outputs:
  - resourceType: Patient
    name: [{text: $a}]
"""


def test_declared_asked_and_records(declare: Any) -> None:
    table = declare.whole(LOCKED).table
    assert mode(table) == BATCH
    assert mode(table, ROW) == ROW
    record = LOCKED.replace("Patient", "AuditEvent").replace("name: [{text: $a}]", RECORD)
    assert mode(declare.whole(record).table, ROW) == OFF
    with pytest.raises(MappingError, match="Did you mean 'batch'"):
        declare.whole(LOCKED.replace("batch", "batc"))


RECORD = """type: =coding(auditevt|rest|RESTful Operation)
    recorded: $a | instant
    agent: [{requestor: false}]
    source: {observer: {display: $a}}"""


async def test_only_an_amended_row_that_was_there_has_a_reason(declare: Any) -> None:
    table = declare.whole(LOCKED)
    known = {"Patient": {"resource_id": "p", "status": "mapped", "source_hash": "other", "locked": "other"}}
    context = Context(Identity(BASE, "acme"), date(2025, 6, 30))
    rows = Rows(table, None, None, context, None)  # type: ignore[arg-type]
    cases = [
        ((1, "x", True, "Why", True), {"1": known}, "Why", "mapped"),
        ((1, "x", True, "Why", True), {}, None, "mapped"),
    ]
    cases += [((1, "x", True, "Why", False), {"1": known}, None, "mapped")]
    cases += [((1, "x", False, "Why", True), {"1": known}, None, "quarantined")]
    for row, before, reason, status in cases:
        found = rows._row("1", row, {}, before)
        assert (found.amendment, found.status) == (reason, status), row


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'pms.db'}"
    sample.write(url, rows=4, tenant="practice", seed=11)
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE clients SET deleted_at = NULL, gender = 'F', ssn_encrypted = NULL"))
    return url


async def ran(store: Store, tenant: str, url: str, **options: Any) -> Report:
    found = await store.tenants.get(tenant) or await store.tenants.create(tenant)
    source = Source(url)
    try:
        catalogue = migration.declared("pms", found)
        options = {"source_tenant": "practice", "error_limit": 1.0, **options}
        return await migration.migrate(
            store, found, catalogue, source, opening={}, options=Options(**options), tables=["clients"]
        )
    finally:
        source.close()


async def asked(store: Store, tenant: str, url: str) -> list[Resource]:
    found = await store.tenants.get(tenant)
    assert found is not None
    ctx = interaction_context(
        store.repository(found, Caller.system(tenant, "test")), base="http://x/fhir/t", cursor_key=b"k" * 32
    )
    answer = await perform(ctx, EntryRequest("GET", url))
    body = json.loads(answer.body or b"{}")
    return body.get("parameter") or [each["resource"] for each in body.get("entry", [])]


async def test_a_run_tells_each_row_and_each_change_once(store: Store, url: str) -> None:
    first = await ran(store, "prov-row", url)
    written = first.tables[0].resources
    assert written["Provenance"] == 4 + written["Organization"]
    assert not (await ran(store, "prov-row", url)).tables[0].resources
    with create_engine(url).begin() as connection:
        connection.execute(
            text("UPDATE clients SET last_name = 'After', updated_at = '2025-07-01 10:00:00' WHERE id=1")
        )
        connection.execute(text("UPDATE clients SET deleted_at = '2025-07-01 10:00:00' WHERE id = 2"))
    assert (await ran(store, "prov-row", url)).tables[0].resources["Provenance"] == 2
    patient = Identity("https://fhir-server.example", "prov-row").of("pms/clients/1/Patient")
    found = await asked(store, "prov-row", f"Provenance?target=Patient/{patient}&_sort=recorded")
    assert [each["activity"]["coding"][0]["code"] for each in found] == ["CREATE", "UPDATE"]
    assert found[1]["target"] == [{"reference": f"Patient/{patient}/_history/2"}]
    assert found[1]["occurredDateTime"] == "2025-07-01T10:00:00Z"
    with_it = await asked(store, "prov-row", f"Patient?_id={patient}&_revinclude=Provenance:target")
    assert [each["resourceType"] for each in with_it] == ["Patient", "Provenance", "Provenance"]


async def test_what_a_run_has_written_knows_its_columns(store: Store, url: str) -> None:
    await ran(store, "prov-lineage", url)
    patient = Identity("https://fhir-server.example", "prov-lineage").of("pms/clients/1/Patient")
    found = await asked(store, "prov-lineage", f"Patient/{patient}/$lineage")
    said = {each["name"]: next(iter(list(each.values())[1:])) for each in found[:9]}
    assert (said["source"], said["table"], said["key"], said["resourceVersion"]) == ("pms", "clients", "1", "1")
    columns = {each["part"][0]["valueString"]: each["part"][1]["valueString"] for each in found[9:]}
    assert columns["Patient.birthDate"] == "date_of_birth"


async def test_a_batch_and_nothing(store: Store, url: str) -> None:
    assert (await ran(store, "prov-batch", url, provenance=BATCH)).tables[0].resources["Provenance"] == 1
    assert "Provenance" not in (await ran(store, "prov-off", url, provenance=OFF)).tables[0].resources


async def test_a_run_that_was_killed_before_it_wrote_down_tells_nothing_twice(store: Store, url: str) -> None:
    await ran(store, "prov-killed", url)
    tenant = {"t": "prov-killed", "rt": "Provenance"}
    before = [each async for each in store.common.resources.find(tenant).sort("_id", 1)]
    await store.common.mappings.delete_many({"tenant_id": "prov-killed"})
    await store.common.resources.delete_one({"_id": before[0]["_id"]})
    again = await ran(store, "prov-killed", url)
    assert again.tables[0].resources == {"Provenance": 1}
    after = [each async for each in store.common.resources.find(tenant).sort("_id", 1)]
    assert [(each["id"], each["v"]) for each in after] == [(each["id"], 1) for each in before]


async def test_the_only_organization_passes_the_data_on(store: Store, url: str) -> None:
    tenant = await store.tenants.create("prov-org")
    about = {"source_system": "pms", "source_table": "practice_profiles", "output": "Organization", "status": "mapped"}
    await MappingStates(store, tenant).save([{**about, "source_pk": "1", "resource_id": "o1"}])
    await ran(store, "prov-org", url)
    (found, *_) = await asked(store, "prov-org", "Provenance?agent=Organization/o1")
    assembler, author, transmitter = found["agent"]
    assert author["who"]["reference"].startswith("Practitioner/")
    assert all(each["onBehalfOf"] == {"reference": "Organization/o1"} for each in (assembler, author))
    assert transmitter["who"] == {"reference": "Organization/o1"}
