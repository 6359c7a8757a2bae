"""The sample EMR: the same rows for the same seed, references that hold, every documented value, dirt, true hashes."""

import hashlib
from pathlib import Path

import pytest

from fhir_server.mapping import catalogue
from seed import emr
from seed.emr_schema import METADATA
from tests.seed.sample import check_foreign_key, rows


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "emr.db"
    emr.write(f"sqlite:///{path}", rows=600, tenant="practice", seed=5)
    return path


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        emr.write(f"sqlite:///{tmp_path / name}", rows=30, seed=seed)
    one, same, other = (
        {table: rows(tmp_path / name, f"SELECT * FROM {table} ORDER BY id") for table in METADATA.tables}
        for name in ("one", "same", "other")
    )
    assert one == same != other


def test_the_database_has_the_declared_tables_and_columns() -> None:
    declared = catalogue.load("emr").tables
    assert {name: set(table.columns.keys()) for name, table in METADATA.tables.items()} == {
        name: set(table.columns) for name, table in declared.items()
    }


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (name, column)
        for name, table in catalogue.load("emr").tables.items()
        for column in table.values
        if column != "allergen"
    ],
)
def test_every_documented_value_is_there(practice: Path, table: str, column: str) -> None:
    there = {value for (value,) in rows(practice, f"SELECT DISTINCT {column} FROM {table}")}
    assert set(catalogue.load("emr").tables[table].values[column]) <= there


@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("users", "clinic_id", "clinics"),
        ("patients", "created_by_id", "users"),
        ("medications", "patient_id", "patients"),
        ("encounters", "patient_id", "patients"),
        ("encounters", "provider_id", "users"),
        ("encounter_diagnoses", "encounter_id", "encounters"),
        ("vitals", "encounter_id", "encounters"),
        ("electronic_signatures", "signer_id", "users"),
        ("clinical_images", "series_id", "image_series"),
    ],
)
def test_foreign_keys_hold(practice: Path, table: str, column: str, parent: str) -> None:
    check_foreign_key(practice, table, column, parent)


@pytest.mark.parametrize(
    ("dirt", "least"),
    [
        ("SELECT 1 FROM patients WHERE date_of_birth IN ('0000-00-00', '1066-10-14', '31/12/1999', '2999-01-01')", 1),
        ("SELECT 1 FROM patients WHERE length(ssn_encrypted) = 40", 1),
        ("SELECT 1 FROM patients WHERE gender IS NULL", 5),
        ("SELECT 1 FROM patients WHERE privacy_restrictions = '{\"old\": true}'", 1),
        ("SELECT 1 FROM medications WHERE prescribed_by LIKE 'Dr.%'", 50),
        ("SELECT 1 FROM problems WHERE resolved_date NOT NULL AND status = 'active'", 3),
        ("SELECT 1 FROM vitals WHERE heart_rate > 3500", 2),
        ("SELECT 1 FROM clinical_images WHERE is_dicom AND dicom_metadata NOT LIKE '%SOPClassUID%'", 2),
        ("SELECT 1 FROM audit_logs WHERE username = 'somebody'", 1),
    ],
)
def test_there_is_dirt_of_every_kind(practice: Path, dirt: str, least: int) -> None:
    assert len(rows(practice, dirt)) >= least


def test_each_log_continues_the_one_before_in_its_clinic(practice: Path) -> None:
    last: dict[int, str] = {}
    for clinic, before, own in rows(practice, "SELECT clinic_id, previous_log_hash, log_hash FROM audit_logs"):
        assert before == last.get(clinic)
        last[clinic] = own
    assert len(last) == 3


def test_a_signature_covers_its_components(practice: Path) -> None:
    found = rows(
        practice,
        """SELECT signature_hash, encounter_id || '|' || signer_id || '|' || substr(signed_at, 1, 10) || 'T19:00:00Z|'
           || meaning || '|' || content_hash FROM electronic_signatures""",
    )
    true = [seal for seal, content in found if hashlib.sha256(content.encode()).hexdigest() == seal]
    assert len(found) > len(true) > len(found) * 0.98
