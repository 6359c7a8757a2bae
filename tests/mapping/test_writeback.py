"""Changes of resources on their way back: written where the row can say them and is as it was, else kept."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from fhir_server.access.caller import Caller
from fhir_server.mapping import migration
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.mapping.target import Target
from fhir_server.mapping.writeback import Edit, written_back
from fhir_server.store.connection import Store
from seed.systems import SYSTEMS

Resource = dict[str, Any]
PATIENT = "clients/1/Patient"
VISIT = "appointments/1/Appointment"
NUMBERS = count(1)


class Practice:
    """A sample database and the tenant that it becomes."""

    def __init__(self, store: Store, system: str, name: str, url: str, tables: tuple[str, ...]):
        self.store, self.system, self.name, self.url, self.tables = store, system, name, url, tables

    def sql(self, statement: str) -> Any:
        with create_engine(self.url).begin() as connection:
            found = connection.execute(text(statement))
            return found.first() if found.returns_rows else None

    async def _with(self, work: Callable[[Any], Any]) -> Any:
        tenant = await self.store.tenants.get(self.name) or await self.store.tenants.create(self.name)
        declared, source = migration.declared(self.system, tenant), Source(self.url)
        try:
            whose = migration.whose(declared, source, self.name, "1" if self.system == "emr" else None)
            keys = [f"{name}={key}" for name, key in SYSTEMS[self.system].keys.items()]
            options = Options(source_tenant=whose, error_limit=1.0)
            opening = migration.keys(declared, keys)
            ready = await migration.prepared(self.store, tenant, declared, source, opening=opening, options=options)
            return await work(ready)
        finally:
            source.close()

    async def run(self) -> Report:
        found: Report = await self._with(lambda ready: ready.run(self.tables))
        return found

    async def back(self, *, apply: bool = True, prefer: str | None = None) -> list[Edit]:
        target = Target(self.url) if apply else None
        found: list[Edit] = await self._with(lambda ready: written_back(ready, target, prefer=prefer))
        return found

    async def repository(self) -> Any:
        tenant = await self.store.tenants.get(self.name)
        assert tenant is not None
        return self.store.repository(tenant, Caller.system(self.name, "test"))

    async def resource(self, name: str) -> Resource:
        resource_id = Identity("https://fhir-server.example", self.name).of(f"{self.system}/{name}")
        found: Resource = (await (await self.repository()).current(name.rpartition("/")[2], resource_id)).resource()
        return found

    async def change(self, name: str, **elements: Any) -> None:
        """As a client does it; None takes an element away."""
        changed = {**await self.resource(name), **elements}
        await (await self.repository()).update({key: value for key, value in changed.items() if value is not None})


@pytest.fixture
async def pms(store: Store, tmp_path: Path) -> Practice:
    url = f"sqlite:///{tmp_path / 'pms.db'}"
    name = f"back-{next(NUMBERS)}"
    SYSTEMS["pms"].write(url, rows=3, tenant="practice", seed=11, progress=lambda _, __: None)
    found = Practice(store, "pms", name, url, ("clients", "appointments"))
    found.sql(
        "UPDATE clients SET deleted_at = NULL, gender = 'F', phone_home = NULL, phone_work = NULL,"
        " phone_mobile = '415-555-2671', email = 'ann@mail.example', address_line1 = '1 Main St',"
        " address_line2 = NULL, city = 'Austin', state = 'Texas', zip_code = '78701', country = NULL,"
        " preferred_contact_method = NULL, updated_at = '2025-06-01 10:00:00'"
    )
    found.sql(
        "UPDATE appointments SET deleted_at = NULL, status = 'scheduled', client_id = 1, cancellation_reason = NULL,"
        " updated_at = '2025-06-01 10:00:00'"
    )
    await found.run()
    return found


def statuses(edits: list[Edit]) -> list[tuple[str, str, str]]:
    return [(each.table, each.key, each.status) for each in edits]


async def test_contacts_and_addresses_go_back(pms: Practice) -> None:
    patient = await pms.resource(PATIENT)
    telecom = [
        {"system": "phone", "value": "+14155550000", "use": "mobile"},
        {"system": "phone", "value": "+14155550001", "use": "work"},
    ]
    address = [{**patient["address"][0], "line": ["2 Side St", "Apt 5"], "city": "Dallas"}]
    await pms.change(PATIENT, telecom=telecom, address=address)

    waiting = await pms.back(apply=False)
    columns = ("phone_mobile", "phone_work", "email", "address_line1", "address_line2", "city")
    assert [(each.key, each.status, each.columns) for each in waiting] == [("1", "pending", columns)]
    assert pms.sql("SELECT phone_mobile FROM clients WHERE id = 1") == ("415-555-2671",)

    (done,) = await pms.back()
    assert (done.status, done.columns) == ("written", columns)
    row = pms.sql(f"SELECT {', '.join(columns)}, state, zip_code FROM clients WHERE id = 1")
    assert row == ("+14155550000", "+14155550001", None, "2 Side St", "Apt 5", "Dallas", "Texas", "78701")
    assert pms.sql("SELECT updated_at > '2025-06-02' FROM clients WHERE id = 1") == (1,)
    assert await pms.back() == []

    again = await pms.run()
    assert all(each.counts["unchanged"] == each.rows and not each.resources for each in again.tables)
    assert (await pms.resource(PATIENT))["meta"]["versionId"] == "2"


async def test_a_status_goes_back_with_what_follows_from_it(pms: Practice) -> None:
    await pms.change(VISIT, status="fulfilled")
    (done,) = await pms.back()
    assert (done.status, done.columns) == ("written", ("status",))
    assert pms.sql("SELECT status FROM appointments WHERE id = 1") == ("completed",)
    encounter = await pms.resource("appointments/1/Encounter")
    assert encounter["status"] == "finished"
    again = await pms.run()
    assert all(each.counts["unchanged"] == each.rows and not each.resources for each in again.tables)


async def test_what_no_column_can_say_stays(pms: Practice) -> None:
    pager = {"system": "pager", "value": "5"}
    wanted = {
        "clients/1/Patient": ({"birthDate": "1970-01-01"}, "birthDate"),
        "clients/2/Patient": ({"telecom": [pager]}, "telecom"),
        "clients/3/Patient": ({"text": {"status": "generated", "div": "<div>x</div>"}}, "text"),
        "appointments/1/Appointment": ({"status": "waitlist"}, "no value of status"),
        "appointments/2/Appointment": ({"status": "arrived"}, "no value of status"),
    }
    for name, (elements, _) in wanted.items():
        await pms.change(name, **elements)
    before = [pms.sql(f"SELECT group_concat(updated_at) FROM {table}") for table in pms.tables]
    for kept in (await pms.back(), await pms.back()):
        assert [f"{each.table}/{each.key}" for each in kept] == [name.rpartition("/")[0] for name in wanted]
        assert {each.status for each in kept} == {"refused"}
        assert all(why in str(each.reason) for each, (_, why) in zip(kept, wanted.values(), strict=True))
    assert [pms.sql(f"SELECT group_concat(updated_at) FROM {table}") for table in pms.tables] == before


async def test_a_row_that_was_changed_meanwhile_is_a_conflict(pms: Practice) -> None:
    telecom = [{"system": "phone", "value": "+14155550000", "use": "mobile"}]
    await pms.change(PATIENT, telecom=telecom)
    pms.sql("UPDATE clients SET phone_mobile = '1', updated_at = '2025-06-03 10:00:00' WHERE id = 1")
    (kept,) = await pms.back()
    assert kept.status == "conflict"
    assert pms.sql("SELECT phone_mobile FROM clients WHERE id = 1") == ("1",)

    report = await pms.run()
    assert report.tables[0].counts["quarantined"] == 1
    assert report.tables[0].findings == {"CHANGED_IN_BOTH Patient error": 1}
    assert (await pms.resource(PATIENT))["telecom"] == telecom

    assert statuses(await pms.back(prefer="server")) == [("clients", "1", "written")]
    assert pms.sql("SELECT phone_mobile, email FROM clients WHERE id = 1") == ("+14155550000", None)
    assert (await pms.run()).tables[0].counts["quarantined"] == 0
    assert (await pms.run()).tables[0].still_quarantined == 0


async def test_the_row_may_hold(pms: Practice) -> None:
    await pms.change(PATIENT, telecom=None)
    pms.sql("UPDATE clients SET phone_mobile = '4155552672', updated_at = '2025-06-03 10:00:00' WHERE id = 1")
    assert statuses(await pms.back(prefer="source")) == [("clients", "1", "settled")]
    assert (await pms.resource(PATIENT))["telecom"][0]["value"] == "+14155552672"
    assert await pms.back() == []


async def test_a_writer_that_was_killed_writes_nothing_twice(pms: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is written, and what is known of it not yet."""

    async def killed(*_: Any) -> None:
        raise InterruptedError

    await pms.change(VISIT, status="noshow")
    with monkeypatch.context() as dying:
        dying.setattr("fhir_server.mapping.writeback._Table._settle", killed)
        with pytest.raises(InterruptedError):
            await pms.back()
    (status, written) = pms.sql("SELECT status, updated_at FROM appointments WHERE id = 1")
    assert status == "no_show"
    assert statuses(await pms.back()) == [("appointments", "1", "settled")]
    assert pms.sql("SELECT updated_at FROM appointments WHERE id = 1") == (written,)
    assert await pms.back() == []
    assert all(each.counts["unchanged"] == each.rows for each in (await pms.run()).tables)


async def test_of_two_writers_one_is_late(pms: Practice) -> None:
    target, mapping = Target(pms.url), migration.declared("pms").tables["appointments"]
    seen = {"id": 1, "updated_at": "2025-06-01 10:00:00", "status": "scheduled"}
    assert target.update(mapping, seen, {"status": "no_show", "updated_at": "2025-06-02 10:00:00"}, "updated_at")
    assert not target.update(mapping, seen, {"status": "completed", "updated_at": "2025-06-03 10:00:00"}, "updated_at")
    target.close()
    assert pms.sql("SELECT status FROM appointments WHERE id = 1") == ("no_show",)


async def test_a_deleted_resource_deletes_no_row(pms: Practice) -> None:
    patient = await pms.resource(PATIENT)
    await (await pms.repository()).delete("Patient", patient["id"])
    (kept,) = await pms.back()
    assert (kept.status, kept.reason) == ("refused", "The resource was deleted; rows are not.")


@pytest.mark.parametrize(
    ("system", "name", "elements", "wanted"),
    [
        ("hpms", "Appointments", {"status": "noshow"}, "SELECT Status FROM Appointments WHERE Id = :key"),
        ("emr", "patients", {"telecom": None}, "SELECT phone_primary FROM patients WHERE id = :key"),
        ("mk", "patients", {"address": [{"text": "1 Main St"}]}, "SELECT address FROM patients WHERE id = :key"),
    ],
)
async def test_other_systems(
    store: Store, tmp_path: Path, system: str, name: str, elements: Resource, wanted: str
) -> None:
    url = f"sqlite:///{tmp_path / 'sample.db'}"
    SYSTEMS[system].write(url, rows=2, tenant=f"back-{system}", seed=3, progress=lambda _, __: None)
    found = Practice(store, system, f"back-{system}", url, (name,))
    if system == "mk":
        found.sql("UPDATE patients SET address = 'nowhere'")
    elif system == "emr":
        found.sql("UPDATE patients SET clinic_id = 1, phone_primary = '4155552671', email = NULL")
    else:
        found.sql("UPDATE Appointments SET Status = 0, IsDeleted = 0")
    await found.run()
    key = found.sql(f"SELECT min(Id) FROM {name}")[0]
    await found.change(f"{name}/{key}/{'Appointment' if system == 'hpms' else 'Patient'}", **elements)
    assert [each.status for each in await found.back()] == ["written"]
    assert found.sql(wanted.replace(":key", repr(key))) == ({"hpms": 4, "emr": None, "mk": "1 Main St"}[system],)
    (report,) = (await found.run()).tables
    assert report.counts["unchanged"] == report.rows
