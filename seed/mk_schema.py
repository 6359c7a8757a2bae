"""The tables of the sample personal health record, as SQLAlchemy creates them on any database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from seed.database import MEASURE

METADATA = MetaData()
TAGS = JSON().with_variant(JSONB(), "postgresql")
TEXTS = JSON().with_variant(ARRAY(Text), "postgresql")
Columns = list[Column[Any]]


def has_partial(*_: object, dialect: Dialect, **__: object) -> bool:
    """Partial indexes exist only where the database has them: elsewhere they would mean another rule."""
    return dialect.name in ("postgresql", "sqlite")


def needed(kind: Any, *names: str) -> Columns:
    return [Column(name, kind, nullable=False) for name in names]


def maybe(kind: Any, *names: str) -> Columns:
    return [Column(name, kind) for name in names]


def strings(*names: str) -> Columns:
    return maybe(String(255), *names)


def named(*names: str) -> Columns:
    return needed(String(255), *names)


def parents(*names: str) -> Columns:
    """References without their constraints, since samples hold dangling ones; every one is indexed."""
    return [Column(name, Integer, index=True) for name in names]


def parent(name: str) -> Column[Any]:
    """A reference that every row must have; its index has the name that the documentation gives."""
    return Column(name, Integer, nullable=False)


def flags(*names: str) -> Columns:
    return needed(Boolean, *names)


def changed() -> Columns:
    return needed(DateTime, "created_at", "updated_at")


def table(name: str, *parts: Any) -> Table:
    return Table(name, METADATA, Column("id", Integer, primary_key=True, autoincrement=False), *parts)


USERS = table(
    "users",
    *named("username", "email", "password_hash", "full_name", "role"),
    *needed(String(20), "auth_method"),
    *strings("external_id"),
    *maybe(String(50), "sso_provider"),
    *maybe(JSON, "sso_metadata"),
    *maybe(DateTime, "last_sso_login", "account_linked_at"),
    *maybe(String(20), "sso_linking_preference"),
    *parents("active_patient_id"),
    *changed(),
    UniqueConstraint("username"),
    UniqueConstraint("email"),
    UniqueConstraint("external_id"),
    Index("idx_users_email", "email"),
)
PATIENTS = table(
    "patients",
    Column("user_id", Integer, nullable=False, index=True),
    parent("owner_user_id"),
    *flags("is_self_record"),
    *maybe(Integer, "family_id"),
    *strings("relationship_to_family"),
    *named("privacy_level"),
    *maybe(Integer, "external_account_id"),
    *flags("is_externally_accessible"),
    *named("first_name", "last_name"),
    *needed(Date, "birth_date"),
    *parents("physician_id"),
    *strings("blood_type"),
    *maybe(MEASURE, "height", "weight"),
    *strings("gender", "address"),
    *changed(),
    Index("idx_patients_owner_user_id", "owner_user_id"),
)
USER_PREFERENCES = table(
    "user_preferences",
    parent("user_id"),
    *named("unit_system"),
    *needed(Integer, "session_timeout_minutes"),
    *flags("paperless_enabled"),
    *maybe(String(500), "paperless_url"),
    *maybe(Text, "paperless_api_token_encrypted", "paperless_username_encrypted", "paperless_password_encrypted"),
    *needed(String(20), "default_storage_backend"),
    *flags("paperless_auto_sync", "paperless_sync_tags"),
    *changed(),
    UniqueConstraint("user_id"),
)
# The documentation names this table and three of its columns; the others are those its code is known to write.
ACTIVITY_LOG = table(
    "activity_log",
    *parents("user_id", "patient_id"),
    *named("action", "entity_type"),
    *maybe(Integer, "entity_id"),
    *maybe(Text, "description"),
    *maybe(JSON, "metadata"),
    *maybe(String(45), "ip_address"),
    *needed(DateTime, "timestamp"),
)
MEDICATIONS = table(
    "medications",
    parent("patient_id"),
    *parents("practitioner_id", "pharmacy_id"),
    *named("medication_name"),
    *strings("dosage", "frequency", "route", "indication"),
    *maybe(Date, "effective_period_start", "effective_period_end"),
    *strings("status"),
    *maybe(TAGS, "tags"),
    *changed(),
    Index("idx_medications_patient_id", "patient_id"),
    Index("idx_medications_patient_status", "patient_id", "status"),
)
CONDITIONS = table(
    "conditions",
    parent("patient_id"),
    *parents("practitioner_id", "medication_id"),
    *strings("condition_name"),
    *named("diagnosis"),
    *strings("notes"),
    *maybe(Date, "onset_date"),
    *named("status"),
    *maybe(Date, "end_date"),
    *strings("severity", "icd10_code", "snomed_code", "code_description"),
    *maybe(TAGS, "tags"),
    *changed(),
    Index("idx_conditions_patient_id", "patient_id"),
    Index("idx_conditions_patient_status", "patient_id", "status"),
)
LAB_RESULTS = table(
    "lab_results",
    parent("patient_id"),
    *parents("practitioner_id"),
    *named("test_name"),
    *strings("test_code", "test_category", "test_type", "facility"),
    *named("status"),
    *strings("labs_result"),
    *maybe(Date, "ordered_date", "completed_date"),
    *maybe(Text, "notes"),
    *maybe(TAGS, "tags"),
    *maybe(DateTime, "created_at", "updated_at"),
    Index("idx_lab_results_patient_id", "patient_id"),
    Index("idx_lab_results_patient_date", "patient_id", "completed_date"),
)
LAB_TEST_COMPONENTS = table(
    "lab_test_components",
    parent("lab_result_id"),
    *named("test_name"),
    *strings("abbreviation", "test_code"),
    *needed(MEASURE, "value"),
    *named("unit"),
    *maybe(MEASURE, "ref_range_min", "ref_range_max"),
    *strings("ref_range_text", "status", "category"),
    *maybe(Integer, "display_order"),
    *maybe(Text, "notes"),
    *changed(),
    Index("idx_lab_test_components_lab_result_id", "lab_result_id"),
    Index("idx_lab_test_components_status", "status"),
    Index("idx_lab_test_components_category", "category"),
    Index("idx_lab_test_components_lab_result_status", "lab_result_id", "status"),
    Index("idx_lab_test_components_lab_result_category", "lab_result_id", "category"),
    Index("idx_lab_test_components_test_name_text", "test_name"),
    Index("idx_lab_test_components_abbreviation_text", "abbreviation"),
)
LAB_RESULT_FILES = table(
    "lab_result_files",
    *parents("lab_result_id"),
    *named("file_name", "file_path", "file_type"),
    *maybe(Integer, "file_size"),
    *strings("description"),
    *needed(DateTime, "uploaded_at"),
)
ALLERGIES = table(
    "allergies",
    parent("patient_id"),
    *parents("medication_id"),
    *named("allergen", "reaction"),
    *strings("severity"),
    *maybe(Date, "onset_date"),
    *strings("status", "notes"),
    *maybe(TAGS, "tags"),
    *changed(),
    Index("idx_allergies_patient_id", "patient_id"),
)
VITALS = table(
    "vitals",
    parent("patient_id"),
    *parents("practitioner_id"),
    *needed(DateTime, "recorded_date"),
    *maybe(Integer, "systolic_bp", "diastolic_bp", "heart_rate"),
    *maybe(MEASURE, "temperature", "weight", "height", "oxygen_saturation"),
    *maybe(Integer, "respiratory_rate"),
    *maybe(MEASURE, "blood_glucose", "bmi"),
    *maybe(Integer, "pain_scale"),
    *maybe(Text, "notes"),
    *strings("location", "device_used"),
    *changed(),
    Index("idx_vitals_patient_id", "patient_id"),
)
IMMUNIZATIONS = table(
    "immunizations",
    *maybe(Integer, "patient_id"),
    *parents("practitioner_id"),
    *named("vaccine_name"),
    *strings("vaccine_trade_name"),
    *needed(Date, "date_administered"),
    *maybe(Integer, "dose_number"),
    *strings("ndc_number", "lot_number", "manufacturer", "site", "route"),
    *maybe(Date, "expiration_date"),
    *strings("location"),
    *maybe(Text, "notes"),
    *maybe(TAGS, "tags"),
    *changed(),
    Index("idx_immunizations_patient_id", "patient_id"),
)
PROCEDURES = table(
    "procedures",
    parent("patient_id"),
    *parents("practitioner_id", "condition_id"),
    *named("procedure_name"),
    *strings("procedure_type", "procedure_code"),
    *needed(Date, "date"),
    *strings("description", "status", "notes", "facility", "procedure_setting", "procedure_complications"),
    *maybe(Integer, "procedure_duration"),
    *strings("anesthesia_type", "anesthesia_notes"),
    *maybe(TAGS, "tags"),
    *changed(),
    Index("idx_procedures_patient_id", "patient_id"),
)
TREATMENTS = table(
    "treatments",
    Column("patient_id", Integer, nullable=False, index=True),
    *parents("practitioner_id", "condition_id"),
    *named("treatment_name", "treatment_type"),
    *needed(Date, "start_date"),
    *maybe(Date, "end_date"),
    *strings("status", "treatment_category", "notes", "frequency", "outcome", "description", "location", "dosage"),
    *maybe(TAGS, "tags"),
    *changed(),
)
ENCOUNTERS = table(
    "encounters",
    *maybe(Integer, "patient_id"),
    *parents("practitioner_id", "condition_id"),
    *named("reason"),
    *needed(Date, "date"),
    *strings("notes", "visit_type", "chief_complaint", "diagnosis", "treatment_plan", "follow_up_instructions"),
    *maybe(Integer, "duration_minutes"),
    *strings("location", "priority"),
    *maybe(TAGS, "tags"),
    *changed(),
    Index("idx_encounters_patient_id", "patient_id"),
)
EMERGENCY_CONTACTS = table(
    "emergency_contacts",
    Column("patient_id", Integer, nullable=False, index=True),
    *named("name", "relationship", "phone_number"),
    *strings("secondary_phone", "email"),
    *flags("is_primary", "is_active"),
    *strings("address", "notes"),
    *changed(),
)
