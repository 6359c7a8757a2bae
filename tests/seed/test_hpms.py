"""The sample HPMS: the same rows for the same seed, references that hold, books that balance, every value there is."""

from pathlib import Path
from typing import Any

import pytest

from seed import hpms
from tests.seed.sample import check_foreign_key, rows


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seed") / "hpms.db"
    hpms.write(f"sqlite:///{path}", rows=600, tenant="acme", seed=5)
    return path


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        hpms.write(f"sqlite:///{tmp_path / name}", rows=20, seed=seed)
    found = {
        name: [
            rows(tmp_path / name, f'SELECT * FROM "{table.name}" ORDER BY Id') for table in hpms.METADATA.sorted_tables
        ]
        for name in ("one", "same", "other")
    }
    assert found["one"] == found["same"] != found["other"]


@pytest.mark.parametrize(
    ("table", "column", "parent"),
    [
        ("Users", "RoleId", "Roles"),
        ("Appointments", "PatientId", "Patients"),
        ("Appointments", "ProviderId", "Users"),
        ("Appointments", "TypeId", "AppointmentTypes"),
        ("Invoices", "AppointmentId", "Appointments"),
        ("FinancialLedger", "InvoiceId", "Invoices"),
        ("AuditLogs", "UserId", "Users"),
    ],
)
def test_foreign_keys_hold(clinic: Path, table: str, column: str, parent: str) -> None:
    check_foreign_key(clinic, table, column, parent)


def test_debits_add_up_to_the_invoice_and_credits_to_what_is_paid(clinic: Path) -> None:
    sums = """SELECT i.Id FROM Invoices i JOIN FinancialLedger l ON l.InvoiceId = i.Id GROUP BY i.Id HAVING """
    assert rows(clinic, f"{sums} sum(CASE Type WHEN 'Debit' THEN Amount END) <> TotalAmount") == []
    assert rows(clinic, f"{sums} Status = 2 AND sum(CASE Type WHEN 'Credit' THEN Amount END) <> TotalAmount") == []


@pytest.mark.parametrize(
    ("column", "table", "values"),
    [
        ("Name", "Roles", {"SystemAdmin", "ClinicAdmin", "Provider", "BillingManager", "FrontDesk"}),
        ("RoleId", "Users", {1, 2, 3, 4, 5}),
        ("Status", "Appointments", {0, 1, 2, 3, 4}),
        ("Status", "Invoices", {0, 1, 2, 3}),
        ("Type", "FinancialLedger", {"Debit", "Credit"}),
        ("Action", "AuditLogs", {"Create", "Update", "Delete"}),
    ],
)
def test_every_documented_value_is_there(clinic: Path, column: str, table: str, values: set[Any]) -> None:
    assert {value for (value,) in rows(clinic, f"SELECT DISTINCT {column} FROM {table}")} >= values


@pytest.mark.parametrize(
    "dirt",
    [
        "SELECT 1 FROM Patients WHERE DOB NOT LIKE '____-__-__' OR DOB < '1900' OR DOB > '2026' OR DOB LIKE '%02-31'",
        "SELECT 1 FROM Patients WHERE PHI_Data IS NULL OR length(PHI_Data) = 40",
        "SELECT 1 FROM Patients WHERE IsDeleted",
        "SELECT 1 FROM Appointments WHERE Status = 7",
        "SELECT 1 FROM FinancialLedger WHERE Amount < 0",
    ],
)
def test_there_is_dirt_of_every_kind(clinic: Path, dirt: str) -> None:
    assert rows(clinic, dirt)
