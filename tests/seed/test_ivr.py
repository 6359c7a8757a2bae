"""The sample IVR platform: the same rows for the same seed, references that hold, every value there is."""

from pathlib import Path
from typing import Any

import pytest

from seed import ivr
from seed.ivr_people import ROLES
from tests.seed.sample import check_foreign_key, rows


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "ivr.db"
    ivr.write(f"sqlite:///{path}", rows=400, tenant="acme", seed=5, organizations=2)
    return path


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        ivr.write(f"sqlite:///{tmp_path / name}", rows=20, seed=seed)
    found = {
        name: [rows(tmp_path / name, f'SELECT * FROM "{table}" ORDER BY 1') for table in ivr.METADATA.tables]
        for name in ("one", "same", "other")
    }
    assert found["one"] == found["same"] != found["other"]


@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("users", "organization_id", "organizations"),
        ("patient_insurance", "patient_id", "patients"),
        ("patient_insurance", "insurance_provider_id", "insurance_providers"),
        ("medical_conditions", "diagnosed_by", "healthcare_providers"),
        ("ivr_requests", "patient_id", "patients"),
        ("ivr_requests", "doctor_id", "healthcare_providers"),
        ("ivr_requests", "submitter_id", "users"),
        ("ivr_requests", "approved_by", "users"),
        ("ivr_products", "ivr_request_id", "ivr_requests"),
        ("ivr_product_sizes", "ivr_product_id", "ivr_products"),
        ("documents", "ivr_request_id", "ivr_requests"),
        ("audit_logs", "user_id", "users"),
    ],
)
def test_foreign_keys_hold(platform: Path, table: str, column: str, parent: str) -> None:
    check_foreign_key(platform, table, column, parent)


def test_a_patient_is_asked_for_by_one_organization(platform: Path) -> None:
    whose = """SELECT r.patient_id FROM ivr_requests r JOIN users u ON u.id = r.submitter_id
               GROUP BY r.patient_id HAVING count(DISTINCT u.organization_id) > 1"""
    assert rows(platform, whose) == []


@pytest.mark.parametrize(
    ("column", "table", "values"),
    [
        ("role", "users", set(ROLES)),
        ("type", "healthcare_providers", {"INDIVIDUAL", "FACILITY"}),
        ("type", "insurance_providers", {"PRIVATE", "MEDICARE", "MEDICAID"}),
        ("status", "medical_conditions", {"Active", "Resolved", "Chronic"}),
        (
            "status",
            "ivr_requests",
            {"pending_review", "in_review", "approved", "rejected", "awaiting_documents", "escalated"},
        ),
        ("priority", "ivr_requests", {"low", "medium", "high", "critical"}),
        ("coverage_type", "patient_insurance", {"Primary"}),
        ("access_level", "documents", {"RESTRICTED"}),
    ],
)
def test_every_documented_value_is_there(platform: Path, column: str, table: str, values: set[Any]) -> None:
    assert {value for (value,) in rows(platform, f"SELECT DISTINCT {column} FROM {table}")} >= values


@pytest.mark.parametrize(
    "dirt",
    [
        "SELECT 1 FROM patients WHERE id NOT IN (SELECT patient_id FROM ivr_requests)",
        "SELECT 1 FROM ivr_requests WHERE insurance_provider NOT IN (SELECT name FROM insurance_providers)",
        "SELECT 1 FROM ivr_product_sizes WHERE total <> unit_price * quantity",
        "SELECT 1 FROM encryption_audit WHERE table_name = 'patients' AND field_name = 'medicaid_number'",
        "SELECT 1 FROM patients WHERE gender IS NULL",
    ],
)
def test_there_is_dirt_of_every_kind(platform: Path, dirt: str) -> None:
    assert rows(platform, dirt)
