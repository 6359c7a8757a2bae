"""The tables of the sample personal health record around the medical ones: directory, family, files, sharing."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from seed.database import MEASURE
from seed.mk_schema import (
    METADATA,
    TAGS,
    TEXTS,
    changed,
    flags,
    has_partial,
    maybe,
    named,
    needed,
    parent,
    parents,
    strings,
    table,
)

INSURANCE = table(
    "insurance",
    Column("patient_id", Integer, nullable=False, index=True),
    *named("insurance_type", "company_name"),
    *strings("employer_group"),
    *named("member_name", "member_id"),
    *strings("group_number", "plan_name", "policy_holder_name", "relationship_to_holder"),
    *needed(Date, "effective_date"),
    *maybe(Date, "expiration_date"),
    *named("status"),
    *flags("is_primary"),
    *maybe(JSON, "coverage_details", "contact_info"),
    *maybe(Text, "notes"),
    *changed(),
)
PRACTITIONERS = table(
    "practitioners",
    *named("name", "specialty", "practice"),
    *strings("phone_number", "website"),
    *maybe(MEASURE, "rating"),
)
PHARMACIES = table(
    "pharmacies",
    *named("name"),
    *strings("brand", "street_address", "city", "state", "zip_code", "country", "store_number"),
    *strings("phone_number", "fax_number", "email", "website", "hours"),
    *maybe(Boolean, "drive_through", "twenty_four_hour"),
    *strings("specialty_services"),
    *changed(),
)
USER_TAGS = table(
    "user_tags",
    parent("user_id"),
    *needed(String(100), "tag"),
    *needed(DateTime, "created_at"),
    UniqueConstraint("user_id", "tag", name="uq_user_tag"),
    Index("idx_user_tags_user_id", "user_id"),
    Index("idx_user_tags_tag", "tag"),
)
FAMILY_MEMBERS = table(
    "family_members",
    Column("patient_id", Integer, nullable=False, index=True),
    *named("name", "relationship"),
    *strings("gender"),
    *maybe(Integer, "birth_year", "death_year"),
    *flags("is_deceased"),
    *maybe(Text, "notes"),
    *changed(),
)
FAMILY_CONDITIONS = table(
    "family_conditions",
    Column("family_member_id", Integer, nullable=False, index=True),
    *named("condition_name"),
    *maybe(Integer, "diagnosis_age"),
    *strings("severity", "status", "condition_type"),
    *maybe(Text, "notes"),
    *strings("icd10_code"),
    *changed(),
)
FAMILY_HISTORY_SHARES = table(
    "family_history_shares",
    *needed(Integer, "invitation_id", "family_member_id", "shared_by_user_id", "shared_with_user_id"),
    *named("permission_level"),
    *flags("is_active"),
    *maybe(DateTime, "expires_at"),
    *maybe(Text, "sharing_note"),
    *changed(),
    Index(
        "unique_active_family_history_share_partial",
        "family_member_id",
        "shared_with_user_id",
        unique=True,
        postgresql_where=text("is_active"),
        sqlite_where=text("is_active"),
    ).ddl_if(callable_=has_partial),
)
ENTITY_FILES = table(
    "entity_files",
    *needed(String(50), "entity_type"),
    *needed(Integer, "entity_id"),
    *needed(String(255), "file_name"),
    *needed(String(500), "file_path"),
    *needed(String(100), "file_type"),
    *maybe(Integer, "file_size"),
    *maybe(Text, "description"),
    *maybe(String(100), "category"),
    *needed(DateTime, "uploaded_at"),
    *needed(String(20), "storage_backend"),
    *strings("paperless_document_id", "paperless_task_uuid"),
    *needed(String(20), "sync_status"),
    *maybe(DateTime, "last_sync_at"),
    *changed(),
    Index("idx_entity_type_id", "entity_type", "entity_id"),
    Index("idx_category", "category"),
    Index("idx_uploaded_at", "uploaded_at"),
    Index("idx_created_at", "created_at"),
    Index("idx_storage_backend", "storage_backend"),
    Index("idx_paperless_document_id", "paperless_document_id"),
    Index("idx_sync_status", "sync_status"),
)
PATIENT_PHOTOS = table(
    "patient_photos",
    parent("patient_id"),
    *needed(String(255), "file_name"),
    *needed(String(500), "file_path"),
    *maybe(Integer, "file_size"),
    *maybe(String(100), "mime_type"),
    *strings("original_name"),
    *maybe(Integer, "width", "height"),
    *parents("uploaded_by"),
    *needed(DateTime, "uploaded_at", "updated_at"),
    UniqueConstraint("patient_id", name="uq_patient_photo"),
    Index("idx_patient_photos_patient_id", "patient_id"),
)
INVITATIONS = table(
    "invitations",
    *needed(Integer, "sent_by_user_id", "sent_to_user_id"),
    *named("invitation_type", "status", "title"),
    *maybe(Text, "message"),
    *needed(JSON, "context_data"),
    *maybe(DateTime, "expires_at", "responded_at"),
    *maybe(Text, "response_note"),
    *changed(),
)
PATIENT_SHARES = table(
    "patient_shares",
    *needed(Integer, "patient_id", "shared_by_user_id", "shared_with_user_id"),
    *named("permission_level"),
    *maybe(JSON, "custom_permissions"),
    *flags("is_active"),
    *maybe(DateTime, "expires_at"),
    *parents("invitation_id"),
    *changed(),
    UniqueConstraint("patient_id", "shared_with_user_id", name="unique_patient_share"),
)
REPORT_TEMPLATES = table(
    "report_templates",
    parent("user_id"),
    *needed(String(255), "name"),
    *maybe(Text, "description"),
    *needed(TAGS, "selected_records", "report_settings"),
    *flags("is_public", "shared_with_family", "is_active"),
    *changed(),
    UniqueConstraint("user_id", "name", name="unique_user_template_name"),
    Index("idx_report_template_user_id", "user_id"),
    Index(
        "idx_report_template_is_active",
        "is_active",
        postgresql_where=text("is_active"),
        sqlite_where=text("is_active"),
    ).ddl_if(callable_=has_partial),
    Index(
        "idx_report_template_shared_family",
        "shared_with_family",
        postgresql_where=text("shared_with_family"),
        sqlite_where=text("shared_with_family"),
    ).ddl_if(callable_=has_partial),
    Index("idx_report_template_selected_records", "selected_records", postgresql_using="gin").ddl_if("postgresql"),
)
REPORT_GENERATION_AUDIT = table(
    "report_generation_audit",
    *maybe(Integer, "user_id"),
    *needed(String(50), "report_type"),
    *maybe(TEXTS, "categories_included"),
    *maybe(Integer, "total_records", "generation_time_ms", "file_size_bytes"),
    *needed(String(20), "status"),
    *maybe(Text, "error_details"),
    *needed(DateTime, "created_at"),
    Index("idx_report_audit_user_created", "user_id", "created_at"),
    Index("idx_report_audit_status", "status"),
    Index("idx_report_audit_created_at", "created_at"),
)
BACKUP_RECORDS = table(
    "backup_records",
    *named("backup_type", "status", "file_path"),
    *needed(DateTime, "created_at"),
    *maybe(Integer, "size_bytes"),
    *maybe(Text, "description"),
    *flags("compression_used"),
    *strings("checksum"),
)
LAB_RESULT_CONDITIONS = table(
    "lab_result_conditions",
    *(Column(name, Integer, nullable=False, index=True) for name in ("lab_result_id", "condition_id")),
    *strings("relevance_note"),
    *changed(),
)
CONDITION_MEDICATIONS = table(
    "condition_medications",
    *(Column(name, Integer, nullable=False, index=True) for name in ("condition_id", "medication_id")),
    *strings("relevance_note"),
    *changed(),
)
ALEMBIC_VERSION = Table("alembic_version", METADATA, Column("version_num", String(32), primary_key=True))
