"""The tables of the sample EMR, as SQLAlchemy creates them on any database."""

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
    UniqueConstraint,
)

from seed.database import MOMENT

METADATA = MetaData()


def key() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)


def uuid_key() -> Column[str]:
    return Column("id", String(36), primary_key=True)


def texts(*names: str) -> list[Column[str]]:
    return [Column(name, String(255)) for name in names]


def longs(*names: str) -> list[Column[str]]:
    return [Column(name, Text) for name in names]


def numbers(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger) for name in names]


def flags(*names: str) -> list[Column[bool]]:
    return [Column(name, Boolean) for name in names]


def days(*names: str) -> list[Column[Any]]:
    return [Column(name, Date) for name in names]


def times(*names: str) -> list[Column[Any]]:
    return [Column(name, MOMENT) for name in names]


def changed() -> list[Column[Any]]:
    return times("created_at", "updated_at")


CLINICS = Table(
    "clinics",
    METADATA,
    key(),
    *texts("name", "npi", "address", "city", "state", "zip_code", "clinic_type"),
    Column("specialties", JSON),
    *flags("hipaa_trained"),
    *days("baa_signed_date", "last_security_audit_date"),
    *changed(),
)
USERS = Table(
    "users",
    METADATA,
    key(),
    Column("username", String(150), unique=True, nullable=False),
    *texts("email", "first_name", "last_name"),
    *numbers("clinic_id"),
    *texts("role", "specialty", "npi", "license_number", "license_state", "dea_number"),
    *flags("is_active", "mfa_enabled", "hipaa_trained"),
    *days("hipaa_training_date"),
    *times("last_password_change"),
    *numbers("failed_login_attempts", "preferred_layout_template_id"),
    *texts("password"),
    *times("date_joined"),
)
PATIENTS = Table(
    "patients",
    METADATA,
    key(),
    Column("clinic_id", BigInteger, nullable=False),
    *texts("medical_record_number", "first_name", "last_name"),
    *days("date_of_birth"),
    *texts("gender"),
    Column("ssn_encrypted", String(500)),
    *texts("phone_primary", "email", "address", "city", "state", "zip_code"),
    *texts("insurance_primary_company", "insurance_primary_policy_number", "insurance_primary_group_number"),
    Column("privacy_restrictions", JSON),
    *flags("consent_for_treatment", "consent_for_phi_disclosure", "is_deceased"),
    *days("deceased_date"),
    *flags("is_active"),
    *days("record_retention_date"),
    *numbers("created_by_id"),
    *changed(),
    UniqueConstraint("clinic_id", "medical_record_number"),
    Index("patients_name", "clinic_id", "last_name", "first_name"),
    Index("patients_birth", "clinic_id", "date_of_birth"),
)


def of_patient(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name, METADATA, key(), Column("patient_id", BigInteger, index=True, nullable=False), *columns, *changed()
    )


ALLERGIES = of_patient("allergies", *texts("allergen", "severity", "reaction"), *flags("is_active"))
MEDICATIONS = of_patient(
    "medications",
    *texts("name", "dosage", "frequency", "route", "prescribed_by"),
    *days("prescribed_date"),
    *flags("is_active"),
    *days("discontinued_date"),
    *texts("discontinued_reason"),
)
PROBLEMS = of_patient("problems", *texts("description", "icd10_code", "status"), *days("onset_date", "resolved_date"))
VITALS = of_patient(
    "vitals",
    *numbers("encounter_id"),
    *times("recorded_at"),
    *numbers("recorded_by_id"),
    *[Column(name, Integer) for name in ("bp_systolic", "bp_diastolic", "heart_rate", "respiratory_rate")],
    *[
        Column(name, Numeric(7, 2, asdecimal=True))
        for name in ("temperature_f", "oxygen_saturation", "weight_lbs", "height_in", "bmi")
    ],
    Column("pain_score", Integer),
)
ENCOUNTERS = Table(
    "encounters",
    METADATA,
    key(),
    *numbers("patient_id", "clinic_id", "provider_id"),
    *times("encounter_date"),
    *texts("encounter_type"),
    *longs("chief_complaint"),
    *texts("specialty"),
    Column("clinical_data", JSON),
    *longs("assessment", "plan"),
    *texts("status"),
    *flags("is_locked", "is_amended"),
    *texts("amendment_reason", "content_hash"),
    *changed(),
    Index("encounters_patient", "patient_id", "encounter_date"),
    Index("encounters_provider", "provider_id", "encounter_date"),
    Index("encounters_clinic", "clinic_id", "encounter_date"),
    Index("encounters_status", "status"),
)


def of_encounter(name: str, *columns: Column[Any]) -> Table:
    return Table(name, METADATA, key(), Column("encounter_id", BigInteger, index=True, nullable=False), *columns)


ENCOUNTER_DIAGNOSES = of_encounter(
    "encounter_diagnoses",
    *texts("icd10_code", "description", "laterality"),
    *flags("is_primary"),
    Column("sequence", Integer),
    *changed(),
)
ENCOUNTER_PROCEDURES = of_encounter(
    "encounter_procedures",
    *texts("cpt_code", "description"),
    *times("performed_at"),
    *texts("laterality"),
    *numbers("provider_id"),
    *longs("notes"),
    *changed(),
)
ELECTRONIC_SIGNATURES = of_encounter(
    "electronic_signatures",
    *numbers("signer_id"),
    *texts("signer_name"),
    *times("signed_at"),
    *texts("meaning"),
    *flags("password_verified", "biometric_verified"),
    *texts("content_hash", "signature_hash", "ip_address", "user_agent"),
)
AUDIT_LOGS = Table(
    "audit_logs",
    METADATA,
    key(),
    *numbers("clinic_id", "user_id"),
    *texts("username", "user_role", "action", "resource_type", "resource_id"),
    *times("timestamp"),
    *texts("ip_address", "user_agent", "reason"),
    Column("changes", JSON),
    *texts("previous_log_hash"),
    Column("log_hash", String(64), index=True),
    Index("audit_time", "timestamp"),
    Index("audit_user", "user_id", "timestamp"),
    Index("audit_resource", "resource_type", "resource_id"),
    Index("audit_clinic", "clinic_id", "timestamp"),
)
IMAGE_SERIES = Table(
    "image_series",
    METADATA,
    uuid_key(),
    *numbers("patient_id", "encounter_id"),
    *texts("name", "description"),
    *times("created_at"),
)
CLINICAL_IMAGES = Table(
    "clinical_images",
    METADATA,
    uuid_key(),
    Column("encounter_id", BigInteger, index=True),
    Column("patient_id", BigInteger, nullable=False),
    *texts("image_type", "specialty", "laterality", "image_file", "thumbnail"),
    *flags("is_dicom"),
    Column("dicom_metadata", JSON),
    Column("series_id", String(36), index=True),
    *texts("photo_type"),
    Column("annotations", JSON),
    *flags("is_sensitive"),
    *numbers("uploaded_by_id"),
    *times("uploaded_at", "captured_at"),
    *changed(),
    Index("images_patient", "patient_id", "uploaded_at"),
)
LAYOUT_TEMPLATES = Table(
    "layout_templates",
    METADATA,
    key(),
    *texts("name", "specialty", "visit_type"),
    *numbers("clinic_id", "provider_id"),
    *flags("is_global"),
    Column("layout", JSON),
    *flags("auto_population_enabled"),
    Column("usage_count", Integer),
    *changed(),
)
LAYOUT_SECTIONS = Table(
    "layout_sections",
    METADATA,
    key(),
    *texts("name", "specialty", "category"),
    Column("fields", JSON),
    Column("default_width", Integer),
    Column("default_height", Integer),
    *flags("is_public"),
    Column("usage_count", Integer),
    *changed(),
)


def codes(name: str) -> Table:
    return Table(
        name,
        METADATA,
        key(),
        Column("code", String(16), unique=True),
        *texts("description"),
        *flags("is_active"),
    )


ICD10_CODES = codes("icd10_codes")
CPT_CODES = codes("cpt_codes")
