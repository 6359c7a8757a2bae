"""Tables of a sample practice that are about the system itself: its keys and when they are rotated."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import JSON, Column, Integer, Table, Text

from seed.pms_schema import METADATA, row_of_tenant, texts, times
from seed.practice import Practice, Row

ENCRYPTION_KEYS = Table(
    "encryption_keys",
    METADATA,
    *row_of_tenant(),
    *texts("key_name"),
    Column("key_version", Integer),
    *texts("key_type", "kms_provider", "kms_key_id", "algorithm"),
    Column("encrypted_key_material", Text),
    *texts("status"),
    *times("activated_at", "expires_at", "retired_at"),
    Column("rotation_policy_id", Integer),
    *times("created_at", "updated_at"),
)
KEY_ROTATION_POLICIES = Table(
    "key_rotation_policies",
    METADATA,
    *row_of_tenant(),
    *texts("policy_name", "key_type", "rotation_trigger"),
    Column("rotation_interval_days", Integer),
    Column("max_usage_count", Integer),
    Column("trigger_events", JSON),
    *texts("status"),
    *times("last_rotation_at", "next_rotation_at", "created_at", "updated_at"),
)
CLASSES = ("phi", "pii", "financial", "clinical", "system")
TRIGGERS = ("time_based", "usage_based", "event_based")


def policies(practice: Practice) -> Iterator[Row]:
    for number, trigger in enumerate(TRIGGERS, 1):
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "policy_name": trigger.replace("_", " "),
            "key_type": CLASSES[number - 1],
            "rotation_trigger": trigger,
            "rotation_interval_days": 365 if trigger == "time_based" else None,
            "max_usage_count": 1_000_000 if trigger == "usage_based" else None,
            "trigger_events": '["breach", "staff_change"]' if trigger == "event_based" else None,
            "status": "active",
            "last_rotation_at": "2024-01-05 09:00:00",
            "next_rotation_at": "2025-01-05 09:00:00",
            "created_at": "2020-01-05 09:00:00",
            "updated_at": "2024-01-05 09:00:00",
        }


def keys(practice: Practice) -> Iterator[Row]:
    """Of each class the key in use and the one before it."""
    for number, (name, version) in enumerate(((each, version) for each in CLASSES for version in (1, 2)), 1):
        is_old = version == 1
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "key_name": f"{name}-{2022 + version}",
            "key_version": version,
            "key_type": name,
            "kms_provider": "aws_kms",
            "kms_key_id": f"alias/{practice.tenant}-{name}",
            "algorithm": "AES-256-GCM",
            "encrypted_key_material": "bm90IGEga2V5",
            "status": "retired" if is_old else "active",
            "activated_at": f"{2022 + version}-01-05 09:00:00",
            "expires_at": f"{2024 + version}-01-05 09:00:00",
            "retired_at": "2024-01-05 09:00:00" if is_old else None,
            "rotation_policy_id": 1 + CLASSES.index(name) % len(TRIGGERS),
            "created_at": f"{2022 + version}-01-05 09:00:00",
            "updated_at": "2024-01-05 09:00:00",
        }
