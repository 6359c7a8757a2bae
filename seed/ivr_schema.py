"""The tables of the sample IVR platform, with the names, types, keys and indexes of its documentation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
)

from seed.database import MOMENT

METADATA = MetaData()
CHANGED = ("created_at", "updated_at")


def uuids(*names: str) -> list[Column[str]]:
    return [Column(name, String(36)) for name in names]


def texts(*names: str, size: int = 255) -> list[Column[str]]:
    return [Column(name, String(size)) for name in names]


def times(*names: str) -> list[Column[object]]:
    return [Column(name, MOMENT) for name in names]


def table(name: str, *columns: Column[Any], indexed: tuple[str, ...] = ()) -> Table:
    """A table with a key of its own and an index for each of some columns."""
    found = Table(name, METADATA, Column("id", String(36), primary_key=True), *columns)
    for each in indexed:
        Index(f"idx_{name}_{each}", found.columns[each])
    return found


ORGANIZATIONS = table(
    "organizations",
    *texts("name", "type", "tax_id"),
    Column("address", Text),
    *texts("phone", "email"),
    Column("is_active", Boolean),
    *times(*CHANGED),
)
USERS = table(
    "users",
    *texts("email", "first_name", "last_name", "password_hash", "role"),
    *uuids("organization_id"),
    Column("is_active", Boolean),
    Column("is_superuser", Boolean),
    *times(*CHANGED),
    indexed=("email", "role", "organization_id"),
)
ENCRYPTION_AUDIT = table(
    "encryption_audit",
    *texts("table_name"),
    *uuids("record_id"),
    *texts("field_name", "encryption_key_id"),
    *times("encrypted_at"),
    *texts("encryption_algorithm"),
    indexed=("record_id", "encryption_key_id"),
)
HEALTHCARE_PROVIDERS = table(
    "healthcare_providers",
    *texts("name", "type", "npi", "tax_id", "specialization"),
    Column("address", Text),
    *texts("phone", "email"),
    Column("is_active", Boolean),
    *times(*CHANGED),
    indexed=("npi", "type"),
)
INSURANCE_PROVIDERS = table(
    "insurance_providers",
    *texts("name", "type", "contact_phone", "contact_email", "website"),
    Column("coverage_details", JSON),
    Column("is_active", Boolean),
    *times(*CHANGED),
    indexed=("name",),
)
PATIENTS = table(
    "patients",
    *texts("first_name", "last_name"),
    Column("date_of_birth", Date),
    *texts("gender", "phone", "email"),
    Column("address", Text),
    *texts("emergency_contact_name", "emergency_contact_phone", "medicaid_number"),
    *times(*CHANGED),
    indexed=("medicaid_number", "date_of_birth"),
)
PATIENT_INSURANCE = table(
    "patient_insurance",
    *uuids("patient_id", "insurance_provider_id"),
    *texts("policy_number", "group_number", "coverage_type"),
    Column("effective_date", Date),
    Column("expiration_date", Date),
    Column("is_active", Boolean),
    *times(*CHANGED),
    indexed=("patient_id", "insurance_provider_id", "policy_number"),
)
MEDICAL_CONDITIONS = table(
    "medical_conditions",
    *uuids("patient_id"),
    *texts("condition_name", "icd_10_code"),
    Column("diagnosis_date", Date),
    *texts("status"),
    Column("notes", Text),
    *uuids("diagnosed_by"),
    *times(*CHANGED),
    indexed=("patient_id", "icd_10_code", "diagnosed_by"),
)
IVR_REQUESTS = table(
    "ivr_requests",
    *texts("ivr_number"),
    *uuids("patient_id", "doctor_id", "submitter_id"),
    *texts("insurance_provider", "policy_number", "group_number", "coverage_type", "diagnosis_code"),
    Column("treatment_plan", Text),
    Column("medical_necessity", Text),
    *texts("status", "priority"),
    *uuids("approved_by"),
    *times("approved_at"),
    Column("coverage_percentage", Numeric(5, 2)),
    *(Column(name, Numeric(10, 2)) for name in ("deductible_amount", "copay_amount", "out_of_pocket_max")),
    Column("coverage_notes", Text),
    *uuids("rejected_by"),
    *times("rejected_at"),
    *texts("rejection_reason"),
    Column("rejection_notes", Text),
    *uuids("document_request_by"),
    *times("document_request_at"),
    Column("document_types", JSON),
    Column("document_deadline", Date),
    Column("document_request_notes", Text),
    *times("submitted_at", *CHANGED),
    indexed=("status", "priority", "patient_id", "doctor_id", "submitted_at", "ivr_number", "insurance_provider"),
)
IVR_PRODUCTS = table(
    "ivr_products",
    *uuids("ivr_request_id"),
    *texts("product_name", "q_code"),
    Column("total_quantity", Integer),
    Column("total_cost", Numeric(10, 2)),
    *times(*CHANGED),
    indexed=("ivr_request_id", "q_code"),
)
IVR_PRODUCT_SIZES = table(
    "ivr_product_sizes",
    *uuids("ivr_product_id"),
    *texts("size", "dimensions"),
    Column("unit_price", Numeric(10, 2)),
    Column("quantity", Integer),
    Column("total", Numeric(10, 2)),
    *times("created_at"),
    indexed=("ivr_product_id", "size"),
)
DOCUMENTS = table(
    "documents",
    *texts("name", "type", "file_path"),
    Column("file_size", BigInteger),
    *texts("mime_type", "checksum"),
    *uuids("patient_id", "ivr_request_id", "uploaded_by"),
    Column("is_phi", Boolean),
    *texts("encryption_key_id", "access_level"),
    *times(*CHANGED),
    indexed=("patient_id", "ivr_request_id", "type", "is_phi"),
)
AUDIT_LOGS = table(
    "audit_logs",
    *uuids("user_id"),
    *texts("action", "resource_type"),
    *uuids("resource_id"),
    Column("old_values", JSON),
    Column("new_values", JSON),
    *texts("ip_address"),
    Column("user_agent", Text),
    *texts("session_id"),
    *times("created_at"),
    indexed=("user_id", "action", "resource_id", "created_at"),
)
ALEMBIC_VERSION = Table("alembic_version", METADATA, Column("version_num", String(32), primary_key=True))
