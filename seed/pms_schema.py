"""The tables of the sample practice management system, as SQLAlchemy creates them on any database."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Index, Integer, MetaData, Numeric, String, Table, Text

METADATA = MetaData()


def texts(*names: str) -> list[Column[str]]:
    return [Column(name, String(255)) for name in names]


def row_of_tenant() -> list[Column[object]]:
    return [Column("id", Integer, primary_key=True, autoincrement=False), Column("tenant_id", String(64), index=True)]


def times(*names: str) -> list[Column[object]]:
    return [Column(name, DateTime) for name in names]


def flags(*names: str) -> list[Column[object]]:
    return [Column(name, Boolean) for name in names]


CHANGED = ("created_at", "updated_at", "deleted_at")

PRACTICE_PROFILES = Table(
    "practice_profiles",
    METADATA,
    *row_of_tenant(),
    *texts("practice_name", "legal_name", "npi"),
    Column("tax_id", Text),
    *texts("phone", "fax", "email", "website", "address_line1", "address_line2", "city", "state", "zip_code"),
    *texts("billing_contact_name", "billing_phone", "billing_address_line1", "timezone"),
    Column("default_appointment_duration", Integer),
    *texts("currency"),
    Column("billing_settings", JSON),
    Column("settings", JSON),
    Column("is_active", Boolean),
    *times("created_at", "updated_at"),
)
LOCATIONS = Table(
    "locations",
    METADATA,
    *row_of_tenant(),
    Column("practice_profile_id", Integer),
    *texts("name", "code", "npi", "description", "phone", "fax", "email"),
    *texts("address_line1", "address_line2", "city", "state", "zip_code"),
    Column("latitude", Numeric(9, 6)),
    Column("longitude", Numeric(9, 6)),
    Column("hours", JSON),
    *texts("holiday_hours"),
    *flags("accepts_appointments", "parking_available", "wheelchair_accessible", "public_transit_access"),
    *texts("directions"),
    *flags("is_active", "is_primary"),
    *times("created_at", "updated_at"),
)
USERS = Table(
    "users",
    METADATA,
    *row_of_tenant(),
    *texts("username", "email", "first_name", "last_name", "password_hash", "oauth_provider", "oauth_subject"),
    *flags("mfa_enabled"),
    *texts("mfa_secret_encrypted", "role"),
    Column("provider_id", Integer),
    *flags("is_active"),
    *times("last_login_at"),
    Column("failed_login_attempts", Integer),
    *times("locked_until"),
    *texts("last_ip_address"),
    *times(*CHANGED),
)
PROVIDERS = Table(
    "providers",
    METADATA,
    *row_of_tenant(),
    *texts("npi", "dea_number", "license_number", "license_state"),
    Column("license_expiration_date", Date),
    *texts("credentials", "title", "first_name", "middle_name", "last_name", "suffix", "email", "phone", "fax"),
    *texts("office_address_line1", "office_city", "office_state", "office_zip_code"),
    Column("languages", JSON),
    *texts("taxonomy_code", "specialty"),
    Column("specialties", JSON),
    Column("default_location_id", Integer),
    Column("availability", JSON),
    Column("hire_date", Date),
    Column("termination_date", Date),
    Column("is_active", Boolean),
    Column("accepts_new_clients", Boolean),
    Column("default_appointment_duration", Integer),
    Column("bio", Text),
    *times(*CHANGED),
)
CLIENTS = Table(
    "clients",
    METADATA,
    *row_of_tenant(),
    *texts("client_number"),
    Column("ssn_encrypted", Text),
    *texts("first_name", "middle_name", "last_name", "suffix", "preferred_name", "pronouns"),
    Column("date_of_birth", Date),
    *texts("gender", "gender_identity", "race", "ethnicity", "marital_status", "preferred_language", "email"),
    *texts("phone_home", "phone_mobile", "phone_work", "preferred_contact_method", "address_line1", "address_line2"),
    *texts("city", "state", "zip_code", "country"),
    *texts("emergency_contact_name", "emergency_contact_relationship", "emergency_contact_phone"),
    Column("primary_provider_id", Integer),
    *texts("referring_provider", "status"),
    Column("date_of_death", Date),
    *texts("insurance_provider", "insurance_policy_number", "insurance_group_number", "insurance_plan_name"),
    *texts("insurance_subscriber_name", "insurance_subscriber_relationship"),
    Column("insurance_effective_date", Date),
    Column("insurance_termination_date", Date),
    Column("copay_amount", Numeric(10, 2)),
    *texts("secondary_insurance_provider", "secondary_insurance_policy_number", "secondary_insurance_group_number"),
    *texts("responsible_party_name", "primary_diagnosis_code", "primary_diagnosis"),
    Column("medical_history", Text),
    Column("allergies", Text),
    Column("current_medications", Text),
    Column("intake_date", Date),
    Column("discharge_date", Date),
    Column("notes", Text),
    Column("created_by", Integer),
    Column("updated_by", Integer),
    *times(*CHANGED),
)
APPOINTMENTS = Table(
    "appointments",
    METADATA,
    *row_of_tenant(),
    *(Column(name, Integer) for name in ("client_id", "provider_id", "location_id")),
    *texts("title", "status", "appointment_type"),
    *times("start_time", "end_time"),
    Column("duration_minutes", Integer),
    *texts("reason"),
    Column("notes", Text),
    Column("is_telehealth", Boolean),
    *texts("telehealth_url", "service_code", "cancellation_reason"),
    *times("cancelled_at"),
    Column("cancelled_by", Integer),
    Column("rescheduled_from_id", Integer),
    *texts("insurance_authorization_number", "billing_code"),
    Column("copay_amount", Numeric(10, 2)),
    Column("is_billable", Boolean),
    *texts("billing_status"),
    *times("checked_in_at", "completed_at", "reminder_sent_at"),
    *texts("reminder_channel"),
    *times(*CHANGED),
)
LEDGER = Table(
    "ledger",
    METADATA,
    *row_of_tenant(),
    *(Column(name, Integer) for name in ("client_id", "appointment_id", "provider_id")),
    *texts("transaction_type"),
    Column("transaction_date", Date),
    Column("service_date", Date),
    *times("posting_date"),
    *texts("description", "billing_code", "billing_code_modifier"),
    Column("diagnosis_codes", JSON),
    Column("units", Numeric(10, 2)),
    Column("amount", Numeric(10, 2)),
    *texts("payment_method", "payment_reference", "insurance_provider", "insurance_claim_number", "claim_status"),
    *times("claim_submitted_at", "claim_response_at"),
    Column("allowed_amount", Numeric(10, 2)),
    Column("is_posted", Boolean),
    Column("is_reconciled", Boolean),
    *times("reconciled_at"),
    Column("reconciled_by", Integer),
    *times("voided_at"),
    *texts("void_reason", "notes"),
    Column("created_by", Integer),
    *times("created_at", "updated_at"),
    Index("ledger_claim", "insurance_claim_number"),
)
