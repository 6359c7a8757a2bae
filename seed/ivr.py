"""A sample platform for insurance requests of any size: `write(url, rows=1000)`.  The same seed gives the same rows.

Patients have policies, conditions and requests; requests have products in sizes, documents, and a decision. Providers
and insurers are shared by all organizations. About one value in fifty is dirty, and some are sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from sqlalchemy import Table

from seed.database import Progress, is_strict, written
from seed.ivr_people import Platform, condition, insurer, organization, patient, policies, provider, sealed_values, user
from seed.ivr_requests import documents, log, products, requests, sizes
from seed.ivr_schema import (
    ALEMBIC_VERSION,
    AUDIT_LOGS,
    DOCUMENTS,
    ENCRYPTION_AUDIT,
    HEALTHCARE_PROVIDERS,
    INSURANCE_PROVIDERS,
    IVR_PRODUCT_SIZES,
    IVR_PRODUCTS,
    IVR_REQUESTS,
    MEDICAL_CONDITIONS,
    METADATA,
    ORGANIZATIONS,
    PATIENT_INSURANCE,
    PATIENTS,
    USERS,
)
from seed.practice import Practice, Row
from seed.sealing import SAMPLE_KEY
from seed.words import PAYERS


def write(
    url: str,
    *,
    rows: int,
    tenant: str = "practice",
    seed: int = 1,
    organizations: int = 1,
    key: str = SAMPLE_KEY,
    strict: bool = False,
    progress: Progress = lambda _, __: None,
) -> dict[str, int]:
    """Writes the database anew: `rows` patients; says how many rows each table has. `key` seals some columns."""
    practice = Practice(tenant, rows, Random(seed), strict=strict or is_strict(url), key=key)
    return written(url, METADATA, _tables(Platform(practice, organizations)), progress, strict=practice.strict)


def _tables(platform: Platform) -> Iterator[tuple[Table, Iterable[Row]]]:
    patients = range(1, platform.practice.clients + 1)
    yield ORGANIZATIONS, (organization(platform, number) for number in range(1, platform.organizations + 1))
    yield USERS, (user(platform, number) for number in range(1, platform.users + 1))
    yield HEALTHCARE_PROVIDERS, (provider(platform, number) for number in range(1, platform.providers + 1))
    yield INSURANCE_PROVIDERS, (insurer(platform, number) for number in range(1, len(PAYERS) + 1))
    yield PATIENTS, (patient(platform, number) for number in patients)
    yield PATIENT_INSURANCE, (row for number in patients for row in policies(platform, number))
    yield MEDICAL_CONDITIONS, (condition(platform, number) for number in patients)
    yield IVR_REQUESTS, (row for number in patients for row in requests(platform, number))
    yield IVR_PRODUCTS, products(platform)
    yield IVR_PRODUCT_SIZES, sizes(platform)
    yield DOCUMENTS, documents(platform)
    yield ENCRYPTION_AUDIT, sealed_values(platform)
    yield AUDIT_LOGS, (log(platform, number) for number in patients)
    yield ALEMBIC_VERSION, iter([{"version_num": "004_audit_system"}])


__all__ = ["METADATA", "SAMPLE_KEY", "write"]
