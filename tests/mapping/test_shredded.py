"""Rows about a patient who was shredded: skipped, not kept, and in nobody's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from fhir_server.mapping import migration
from fhir_server.mapping.identity import Identity
from fhir_server.store import shredding
from fhir_server.store.connection import Store
from fhir_server.store.shredding import Order, Shredding
from fhir_server.store.tenants import Tenant
from fhir_server.store.users import User
from seed import pms as sample
from tests.mapping.running import Run
from tests.store.sealed import sealed_store


@pytest.fixture
async def sealed(mongo_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with sealed_store(mongo_url, tmp_path) as found:
        yield found


def change(url: str, statement: str) -> None:
    with create_engine(url).begin() as connection:
        connection.execute(text(statement))


async def shredded(store: Store, tenant: Tenant, client: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The logical id of the patient."""
    monkeypatch.setattr(shredding, "SETTLED", 0.0)
    monkeypatch.setattr(type(store.holds), "refusal", _nothing)
    for name in ("ada", "ben"):
        await store.users.add(User(tenant.name, name, name))
    patient_id = Identity(migration.declared("pms").base, tenant.name).of(f"pms/clients/{client}/Patient")
    await Shredding(store, tenant).shred(Order(patient_id, "It is over", ("ada", "ben"), "test"))
    return patient_id


async def _nothing(*_: object) -> None:
    return None


async def test_the_others_are_mapped_and_nothing_of_the_row_is_kept(
    sealed: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'pms.db'}"
    sample.write(url, rows=8, tenant="practice", seed=11)
    run = Run(sealed, "practice", url)
    await run("clients", "appointments")
    tenant = await sealed.tenants.latest("practice")
    patient_id = await shredded(sealed, tenant, "1", monkeypatch)
    change(url, "UPDATE clients SET last_name = 'Changed', updated_at = '2030-01-01 00:00:00'")
    change(url, "UPDATE appointments SET status = 'cancelled', updated_at = '2030-01-01 00:00:00'")
    report = await run("clients", "appointments")
    clients, appointments = report.tables
    assert (clients.rows, clients.counts["skipped"]) == (8, 1)
    assert clients.findings["SHREDDED Patient warning"] == 1
    assert appointments.counts["skipped"] >= 1
    alive = {"t": "practice", "cmp": f"Patient/{patient_id}", "del": False}
    left = await sealed.common.resources.count_documents(alive)
    assert left == 0
    assert await sealed.common.snapshots.count_documents({"tenant_id": "practice"}) == 0
    assert (await run.resource("pms/clients/2/Patient", "Patient"))["name"][0]["family"] == "Changed"
    assert (await run("clients")).tables[0].counts["mapped"] == 0
    change(url, "DELETE FROM clients WHERE id = 1")
    assert (await run("clients")).tables[0].counts["quarantined"] == 0
