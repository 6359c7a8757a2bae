"""Every source from end to end: its sample database becomes FHIR, rows add up, and a second run changes nothing."""

from collections import Counter
from pathlib import Path

import pytest

from fhir_server.mapping import migration
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from seed.systems import SYSTEMS

PATIENTS = 80
TOLD_ELSEWHERE = {"pms", "emr"}
"""Sources with runs in tests of their own."""
MOST_IN_QUARANTINE = 0.04


async def migrated(store: Store, name: str, url: str) -> Report:
    tenant = await store.tenants.get(name) or await store.tenants.create(name)
    declared = migration.declared(name, tenant)
    source = Source(url)
    try:
        whose = migration.whose(declared, source, name, None)
        opening = migration.keys(declared, [f"{key}={value}" for key, value in SYSTEMS[name].keys.items()])
        options = Options(source_tenant=whose)
        return await migration.migrate(store, tenant, declared, source, opening=opening, options=options)
    finally:
        source.close()


@pytest.mark.parametrize("name", sorted(SYSTEMS.keys() - TOLD_ELSEWHERE))
async def test_a_sample_becomes_fhir_once(store: Store, name: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sample.db'}"
    written = SYSTEMS[name].write(url, rows=PATIENTS, tenant=name, seed=3, progress=lambda _, __: None)
    first, second = await migrated(store, name, url), await migrated(store, name, url)
    assert not first.failed
    for table in first.tables:
        counts = Counter(table.counts)
        assert table.rows == sum(table.counts.values())
        assert table.rows == written[table.table]
        assert counts["quarantined"] <= max(3, MOST_IN_QUARANTINE * table.rows), table.as_json()
        assert not {code for code in table.findings if code.startswith("CROSS_TENANT")}
    for table in second.tables:
        assert table.counts["unchanged"] == table.rows, table.as_json()
        assert not table.resources


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_a_sample_has_the_declared_columns_and_no_others(name: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sample.db'}"
    SYSTEMS[name].write(url, rows=1, tenant=name, seed=3, progress=lambda _, __: None)
    source = Source(url)
    found = [str(each) for table in migration.declared(name).in_order() for each in source.problems(table)]
    source.close()
    assert found == []
