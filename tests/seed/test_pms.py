"""The sample practice: the same rows for the same seed, references that hold, and dirt in every place."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from fhir_server.mapping.convert_text import npi as is_npi
from seed import pms
from seed.pms_providers import npi
from seed.sealing import SAMPLE_KEY, sealed
from tests.seed.sample import check_foreign_key, rows

TABLES = (
    "practice_profiles",
    "locations",
    "providers",
    "users",
    "clients",
    "appointments",
    "notes",
    "ledger",
    "audit_log",
)


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "pms.db"
    pms.write(f"sqlite:///{path}", rows=1500, tenant="acme", seed=5)
    return path


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(path, f"SELECT * FROM {table} ORDER BY id") for table in TABLES}


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        pms.write(f"sqlite:///{tmp_path / name}", rows=50, seed=seed)
    assert everything(tmp_path / "one") == everything(tmp_path / "same")
    assert everything(tmp_path / "one") != everything(tmp_path / "other")


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x'}"
    pms.write(url, rows=50)
    counts = pms.write(url, rows=20)
    assert counts["clients"] == 20
    assert len(rows(tmp_path / "x", "SELECT * FROM clients")) == 20


def test_sizes_follow_the_number_of_clients(practice: Path) -> None:
    counts = {table: rows(practice, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    assert counts["clients"] == 1500
    assert counts["appointments"] == 3000
    assert 2000 < counts["ledger"] < 6000
    assert counts["practice_profiles"] == 1


@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("appointments", "client_id", "clients"),
        ("appointments", "provider_id", "providers"),
        ("appointments", "location_id", "locations"),
        ("ledger", "appointment_id", "appointments"),
        ("ledger", "client_id", "clients"),
        ("clients", "created_by", "users"),
        ("notes", "appointment_id", "appointments"),
        ("notes", "parent_note_id", "notes"),
        ("fhir_mappings", "internal_id", "clients"),
        ("clients", "primary_provider_id", "providers"),
    ],
)
def test_foreign_keys_hold(practice: Path, table: str, column: str, parent: str) -> None:
    check_foreign_key(practice, table, column, parent)


def test_claims_belong_to_insured_clients(practice: Path) -> None:
    assert rows(practice, "SELECT count(*) FROM ledger WHERE insurance_claim_number NOT NULL")[0][0] > 500
    uninsured = """SELECT 1 FROM ledger l JOIN clients c ON c.id = l.client_id
                   WHERE l.insurance_claim_number NOT NULL AND c.insurance_policy_number IS NULL"""
    assert rows(practice, uninsured) == []


@pytest.mark.parametrize(
    ("dirt", "least"),
    [
        ("SELECT 1 FROM clients WHERE date_of_birth IN ('0000-00-00', '1066-10-14', '31/12/1999', '2999-01-01')", 3),
        ("SELECT 1 FROM clients WHERE phone_mobile NOT LIKE '(___) 555-____'", 20),
        ("SELECT 1 FROM clients WHERE gender NOT IN ('female', 'male', 'F', 'M', 'non-binary', 'unknown')", 1),
        ("SELECT 1 FROM clients WHERE gender IS NULL", 10),
        ("SELECT 1 FROM clients WHERE first_name IS NULL OR first_name LIKE ' %'", 2),
        ("SELECT 1 FROM clients WHERE length(ssn_encrypted) = 40", 1),
        ("SELECT 1 FROM clients WHERE deleted_at NOT NULL", 3),
        ("SELECT 1 FROM appointments WHERE status LIKE '%_old' OR status IN ('zz', 'migrated', '9')", 1),
        ("SELECT 1 FROM appointments WHERE client_id IS NULL", 1),
        ("SELECT 1 FROM ledger WHERE diagnosis_codes IS NULL", 1),
        ("SELECT 1 FROM notes WHERE length(content) = 40", 1),
        ("SELECT 1 FROM notes WHERE diagnosis_codes LIKE '%anxiety%'", 1),
        ("SELECT 1 FROM audit_log WHERE status_code IS NULL", 1),
        ("SELECT 1 FROM ledger WHERE transaction_type IN ('CHARGE', 'zz', '9', 'charge_old', 'migrated')", 1),
    ],
)
def test_there_is_dirt_of_every_kind(practice: Path, dirt: str, least: int) -> None:
    assert len(rows(practice, dirt)) >= least


def test_provider_identifiers_have_their_check_digit() -> None:
    assert [is_npi(npi(number)) for number in range(1, 50)] == [npi(number) for number in range(1, 50)]


def test_sealed_values_open_and_are_the_same_each_time() -> None:
    assert Fernet(SAMPLE_KEY).decrypt(sealed("912-34-5678")) == b"912-34-5678"
    assert sealed("912-34-5678") == sealed("912-34-5678") != sealed("912-34-5679")
