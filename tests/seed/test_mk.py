"""The sample personal health record: the same rows for the same seed, references that hold, every documented value."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from fhir_server.mapping import catalogue
from seed import mk
from seed.mk_schema import METADATA
from tests.seed.sample import check_foreign_key, rows

DECLARED = catalogue.load("mk")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "mk.db"
    mk.write(f"sqlite:///{path}", rows=600, seed=5)
    return path


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        mk.write(f"sqlite:///{tmp_path / name}", rows=30, seed=seed)
    one, same, other = (
        {table: rows(tmp_path / name, f"SELECT * FROM {table}") for table in METADATA.tables}
        for name in ("one", "same", "other")
    )
    assert one == same != other


def test_the_database_has_the_documented_tables_and_the_declared_columns(family: Path) -> None:
    assert set(METADATA.tables) == set(DECLARED.documented)
    for name, table in DECLARED.tables.items():
        assert list(METADATA.tables[name].columns.keys()) == list(table.columns)
    assert all(rows(family, f"SELECT 1 FROM {table} LIMIT 1") for table in METADATA.tables)


@pytest.mark.parametrize("dialect", [postgresql.dialect, mysql.dialect], ids=["postgresql", "mysql"])
def test_other_databases_can_have_the_tables(dialect: Any) -> None:
    for table in METADATA.tables.values():
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect()))
        for index in table.indexes:
            assert "INDEX" in str(CreateIndex(index).compile(dialect=dialect()))


@pytest.mark.parametrize(
    ("table", "column"), [(name, column) for name, table in DECLARED.tables.items() for column in table.values]
)
def test_every_documented_value_is_there(family: Path, table: str, column: str) -> None:
    there = {value for (value,) in rows(family, f"SELECT DISTINCT {column} FROM {table}")}
    assert set(DECLARED.tables[table].values[column]) <= there


@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("patients", "owner_user_id", "users"),
        ("patients", "physician_id", "practitioners"),
        ("medications", "patient_id", "patients"),
        ("medications", "pharmacy_id", "pharmacies"),
        ("condition_medications", "medication_id", "medications"),
        ("lab_result_conditions", "condition_id", "conditions"),
        ("lab_result_files", "lab_result_id", "lab_results"),
        ("family_conditions", "family_member_id", "family_members"),
        ("family_history_shares", "invitation_id", "invitations"),
        ("patient_shares", "shared_with_user_id", "users"),
    ],
)
def test_foreign_keys_hold(family: Path, table: str, column: str, parent: str) -> None:
    check_foreign_key(family, table, column, parent)


@pytest.mark.parametrize(
    ("dirt", "least"),
    [
        ("SELECT 1 FROM patients WHERE birth_date IN ('0000-00-00', '1066-10-14', '31/12/1999', '2999-01-01')", 1),
        ("SELECT 1 FROM patients WHERE gender IS NULL OR gender = 'zz'", 3),
        ("SELECT 1 FROM medications WHERE tags = '{}'", 3),
        ("SELECT 1 FROM conditions WHERE end_date NOT NULL AND status = 'active'", 1),
        ("SELECT 1 FROM conditions WHERE practitioner_id > 800", 3),
        ("SELECT 1 FROM vitals WHERE heart_rate > 3500", 2),
        ("SELECT 1 FROM immunizations WHERE patient_id IS NULL", 1),
        ("SELECT 1 FROM lab_test_components WHERE unit LIKE '%_old' OR unit IN ('zz', 'migrated', '9')", 5),
        ("SELECT 1 FROM lab_test_components WHERE lab_result_id NOT IN (SELECT id FROM lab_results)", 1),
        ("SELECT 1 FROM patients WHERE NOT is_self_record AND owner_user_id <> user_id", 100),
    ],
)
def test_there_is_dirt_of_every_kind(family: Path, dirt: str, least: int) -> None:
    assert len(rows(family, dirt)) >= least
