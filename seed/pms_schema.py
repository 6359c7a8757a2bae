"""The tables of the sample practice management system, as SQLAlchemy creates them on any database."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Index, Integer, MetaData, Numeric, String, Table, Text

METADATA = MetaData()


def _text(*names: str) -> list[Column[str]]:
    return [Column(name, String(255)) for name in names]


def _tenant() -> list[Column[object]]:
    return [Column("id", Integer, primary_key=True, autoincrement=False), Column("tenant_id", String(64), index=True)]


def _times(*names: str) -> list[Column[object]]:
    return [Column(name, DateTime) for name in names]


CHANGED = ("created_at", "updated_at", "deleted_at")

PRACTICE_PROFILES = Table(
    "practice_profiles",
    METADATA,
    *_tenant(),
    *_text("practice_name", "legal_name", "npi", "phone", "email", "address_line1", "city", "state", "zip_code"),
    *_text("timezone", "currency"),
    Column("is_active", Boolean),
    *_times("created_at", "updated_at"),
)
LOCATIONS = Table(
    "locations",
    METADATA,
    *_tenant(),
    Column("practice_profile_id", Integer),
    *_text("name", "code", "phone", "address_line1", "city", "state", "zip_code"),
    Column("is_active", Boolean),
    Column("is_primary", Boolean),
    *_times("created_at", "updated_at"),
)
USERS = Table(
    "users",
    METADATA,
    *_tenant(),
    *_text("username", "email", "first_name", "last_name", "role"),
    Column("provider_id", Integer),
    Column("is_active", Boolean),
    *_times(*CHANGED),
)
PROVIDERS = Table(
    "providers",
    METADATA,
    *_tenant(),
    *_text("npi", "dea_number", "license_number", "license_state"),
    Column("license_expiration_date", Date),
    *_text("credentials", "title", "first_name", "middle_name", "last_name", "suffix", "email", "phone", "fax"),
    *_text("office_address_line1", "office_city", "office_state", "office_zip_code"),
    Column("languages", JSON),
    *_text("taxonomy_code", "specialty"),
    Column("specialties", JSON),
    Column("default_location_id", Integer),
    Column("availability", JSON),
    Column("hire_date", Date),
    Column("termination_date", Date),
    Column("is_active", Boolean),
    Column("accepts_new_clients", Boolean),
    Column("default_appointment_duration", Integer),
    Column("bio", Text),
    *_times(*CHANGED),
)
CLIENTS = Table(
    "clients",
    METADATA,
    *_tenant(),
    *_text("client_number"),
    Column("ssn_encrypted", Text),
    *_text("first_name", "middle_name", "last_name", "suffix", "preferred_name", "pronouns"),
    Column("date_of_birth", Date),
    *_text("gender", "gender_identity", "race", "ethnicity", "marital_status", "preferred_language", "email"),
    *_text("phone_home", "phone_mobile", "phone_work", "preferred_contact_method", "address_line1", "address_line2"),
    *_text("city", "state", "zip_code", "country"),
    *_text("emergency_contact_name", "emergency_contact_relationship", "emergency_contact_phone"),
    Column("primary_provider_id", Integer),
    *_text("referring_provider", "status"),
    Column("date_of_death", Date),
    *_text("insurance_provider", "insurance_policy_number", "insurance_group_number", "insurance_plan_name"),
    *_text("insurance_subscriber_name", "insurance_subscriber_relationship"),
    Column("insurance_effective_date", Date),
    Column("insurance_termination_date", Date),
    Column("copay_amount", Numeric(10, 2)),
    *_text("secondary_insurance_provider", "secondary_insurance_policy_number", "secondary_insurance_group_number"),
    *_text("responsible_party_name", "primary_diagnosis_code", "primary_diagnosis"),
    Column("medical_history", Text),
    Column("allergies", Text),
    Column("current_medications", Text),
    Column("intake_date", Date),
    Column("discharge_date", Date),
    Column("notes", Text),
    Column("created_by", Integer),
    Column("updated_by", Integer),
    *_times(*CHANGED),
)
APPOINTMENTS = Table(
    "appointments",
    METADATA,
    *_tenant(),
    *(Column(name, Integer) for name in ("client_id", "provider_id", "location_id")),
    *_text("title", "status", "appointment_type"),
    *_times("start_time", "end_time"),
    Column("duration_minutes", Integer),
    *_text("reason"),
    Column("notes", Text),
    Column("is_telehealth", Boolean),
    *_text("telehealth_url", "service_code", "cancellation_reason"),
    *_times("cancelled_at"),
    Column("cancelled_by", Integer),
    Column("rescheduled_from_id", Integer),
    *_text("insurance_authorization_number", "billing_code"),
    Column("copay_amount", Numeric(10, 2)),
    Column("is_billable", Boolean),
    *_text("billing_status"),
    *_times("checked_in_at", "completed_at", "reminder_sent_at"),
    *_text("reminder_channel"),
    *_times(*CHANGED),
)
LEDGER = Table(
    "ledger",
    METADATA,
    *_tenant(),
    *(Column(name, Integer) for name in ("client_id", "appointment_id", "provider_id")),
    *_text("transaction_type"),
    Column("transaction_date", Date),
    Column("service_date", Date),
    *_times("posting_date"),
    *_text("description", "billing_code", "billing_code_modifier"),
    Column("diagnosis_codes", JSON),
    Column("units", Numeric(10, 2)),
    Column("amount", Numeric(10, 2)),
    *_text("payment_method", "payment_reference", "insurance_provider", "insurance_claim_number", "claim_status"),
    *_times("claim_submitted_at", "claim_response_at"),
    Column("allowed_amount", Numeric(10, 2)),
    Column("is_posted", Boolean),
    Column("is_reconciled", Boolean),
    *_times("reconciled_at"),
    Column("reconciled_by", Integer),
    *_times("voided_at"),
    *_text("void_reason", "notes"),
    Column("created_by", Integer),
    *_times("created_at", "updated_at"),
    Index("ledger_claim", "insurance_claim_number"),
)
