"""A sample HPMS of any size: `write(url, rows=1000)`.  The same seed gives the same rows.

A clinic with users, patients and appointments; appointments that were kept have invoices, and these the lines of a
double-entry ledger. About one value in fifty is dirty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from random import Random

from sqlalchemy import Table

from seed.database import Progress, is_strict, written
from seed.hpms_patients import patient
from seed.hpms_schema import (
    APPOINTMENT_TYPES,
    APPOINTMENTS,
    AUDIT_LOGS,
    FINANCIAL_LEDGER,
    INVOICES,
    METADATA,
    PATIENTS,
    ROLES,
    TENANTS,
    USERS,
)
from seed.hpms_visits import AUDITED, Clinic, Invoice, appointment, invoices, ledger, log
from seed.practice import Practice, Row
from seed.sealing import SAMPLE_KEY
from seed.words import FIRST, LAST

NAMES = ("SystemAdmin", "ClinicAdmin", "Provider", "BillingManager", "FrontDesk")
PERMISSIONS = ("*", "clinic.*", "patients.*", "invoices.*", "appointments.*")
TYPES = (
    ("New patient consultation", "CON", 60, "210.00"),
    ("Follow-up visit", "FU", 30, "95.50"),
    ("Annual physical", "ANN", 45, "180.00"),
    ("Check-up", None, 30, "90.00"),
    ("Massage", "MAS", 60, None),
)


def write(
    url: str,
    *,
    rows: int,
    tenant: str = "practice",
    seed: int = 1,
    key: str = SAMPLE_KEY,
    strict: bool = False,
    progress: Progress = lambda _, __: None,
) -> dict[str, int]:
    """Writes the database anew: `rows` patients; says how many rows each table has. `key` seals `PHI_Data`."""
    clinic = Clinic(Practice(tenant, rows, Random(seed), strict=strict or is_strict(url), key=key))
    return written(url, METADATA, _tables(clinic), progress, strict=clinic.practice.strict)


def _tables(clinic: Clinic) -> Iterator[tuple[Table, Iterable[Row]]]:
    billed: list[Invoice] = []
    patients = range(1, clinic.practice.clients + 1)
    yield TENANTS, _tenants(clinic)
    yield ROLES, _roles()
    yield USERS, _users(clinic)
    yield APPOINTMENT_TYPES, _types(clinic)
    yield PATIENTS, (patient(clinic, number) for number in patients)
    yield APPOINTMENTS, (appointment(clinic, number) for number in range(1, 2 * clinic.practice.clients + 1))
    yield INVOICES, invoices(clinic, billed)
    yield FINANCIAL_LEDGER, ledger(clinic, billed)
    yield AUDIT_LOGS, (log(clinic, number) for number in range(1, max(len(AUDITED), clinic.practice.clients) + 1))


def _tenants(clinic: Clinic) -> Iterator[Row]:
    yield {
        "Id": clinic.id,
        "Name": f"{clinic.practice.tenant.title()} Clinic",
        "ApiKey": "bm90IGEga2V5",
        "IsActive": True,
        "CreatedAt": "2019-03-01 08:00:00",
    }


def _roles() -> Iterator[Row]:
    for number, (name, allowed) in enumerate(zip(NAMES, PERMISSIONS, strict=True), 1):
        yield {"Id": number, "Name": name, "Permissions": json.dumps([allowed])}


def _users(clinic: Clinic) -> Iterator[Row]:
    """The first ones are providers; the others have each of the other roles."""
    random = clinic.practice.random
    for number in range(1, clinic.users + 1):
        is_provider = number <= clinic.practice.providers
        role = 3 if is_provider else (1, 2, 4, 5)[(number - clinic.practice.providers - 1) % 4]
        yield {
            "Id": clinic.guid("Users", number),
            "TenantId": clinic.id,
            "Username": f"{random.choice(FIRST['female'])[0]}.{random.choice(LAST)}{number}".lower(),
            "PasswordHash": "$2b$12$not.a.hash",
            "RoleId": role,
            "IsDeleted": not is_provider and number % 40 == 0,
        }


def _types(clinic: Clinic) -> Iterator[Row]:
    for number, (name, code, minutes, price) in enumerate(TYPES, 1):
        yield {
            "Id": number,
            "TenantId": clinic.id,
            "Name": name,
            "Code": code,
            "DurationMinutes": minutes,
            "Price": price,
            "IsDeleted": False,
        }


__all__ = ["METADATA", "SAMPLE_KEY", "write"]
