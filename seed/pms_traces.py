"""What a sample practice system leaves behind: tokens, a log of what was done, ids of an earlier mapping."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import JSON, Boolean, Column, Index, Integer, String, Table, Text

from seed import dirt
from seed.dirt import sometimes
from seed.pms_schema import METADATA, row_of_tenant, texts, times
from seed.practice import Practice, Row

AUTH_TOKENS = Table(
    "auth_tokens",
    METADATA,
    *row_of_tenant(),
    Column("user_id", Integer),
    *texts("token_type", "token_hash", "scopes"),
    *times("expires_at", "revoked_at"),
    *texts("revoked_reason"),
    Column("is_active", Boolean),
    *times("last_used_at"),
    Column("usage_count", Integer),
    *texts("ip_address", "user_agent"),
    Column("rate_limit", Integer),
    *times("created_at"),
)
AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    *row_of_tenant(),
    Column("user_id", Integer),
    *texts("username", "action", "resource_type", "resource_id", "http_method", "endpoint", "query_params"),
    Column("status_code", Integer),
    Column("error_message", Text),
    *texts("ip_address", "user_agent", "session_id"),
    Column("old_values", JSON),
    Column("new_values", JSON),
    Column("duration_ms", Integer),
    Column("is_security_event", Boolean),
    *times("created_at"),
    Index("audit_log_created", "created_at"),
)
FHIR_MAPPINGS = Table(
    "fhir_mappings",
    METADATA,
    *row_of_tenant(),
    *texts("internal_table"),
    Column("internal_id", Integer, index=True),
    *texts("fhir_resource_type", "fhir_resource_id", "fhir_version", "mapping_status"),
    Column("mapping_data", JSON),
    Column("error_message", Text),
    Column("error_count", Integer),
    *times("last_synced_at", "created_at", "updated_at"),
)
ALEMBIC_VERSION = Table("alembic_version", METADATA, Column("version_num", String(32), primary_key=True))

REQUESTS = (
    *[("read", "GET", 200)] * 5,
    *[("update", "PUT", 200)] * 2,
    ("create", "POST", 201),
    ("delete", "DELETE", 204),
    ("search", "GET", 200),
    ("login", "POST", 200),
    ("login_failed", "POST", 401),
    ("logout", "POST", 204),
    ("export", "GET", 200),
    ("key_rotation", "POST", 500),
)
RECORDS = ("clients", "appointments", "notes", "providers", "settings")
STATUSES = (*["mapped"] * 6, "pending", "failed", "stale")


def tokens(practice: Practice) -> Iterator[Row]:
    for number in range(1, practice.providers + 3):
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "user_id": number,
            "token_type": ("access", "refresh", "api_key")[number % 3],
            "token_hash": f"hash-of-nothing-{number}",
            "is_active": number % 4 > 0,
            "usage_count": practice.beside.randint(0, 900),
            "created_at": "2025-06-01 09:00:00",
        }


def audit_log(practice: Practice) -> Iterator[Row]:
    """About one request for two clients."""
    random = practice.beside
    for number in range(1, practice.clients // 2 + 1):
        action, method, status = random.choice(REQUESTS)
        user, record, row = random.randint(1, practice.providers + 2), random.choice(RECORDS), random.randint(1, 200)
        changes = action in ("update", "create")
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "user_id": None if action == "login_failed" else user,
            "username": f"user{user}",
            "action": sometimes(random, 0.01, action, dirt.unknown_code),
            "resource_type": record,
            "resource_id": str(row),
            "http_method": method,
            "endpoint": f"/api/{record}/{row}",
            "query_params": "page=2" if action == "search" else None,
            "status_code": None if random.random() < 0.02 else status,
            "error_message": "bad password" if status == 401 else ("no answer" if status == 500 else None),
            "ip_address": f"10.0.0.{random.randint(2, 250)}",
            "user_agent": "Mozilla/5.0",
            "session_id": f"s-{random.randint(1, 10**6)}",
            "old_values": '{"city": "Austin", "ssn_encrypted": "x"}' if action == "update" else None,
            "new_values": '{"city": "Dallas", "ssn_encrypted": "y"}' if changes else None,
            "duration_ms": random.randint(2, 900),
            "is_security_event": action in ("login_failed", "key_rotation"),
            "created_at": f"2025-06-{random.randint(1, 30):02d} 10:30:00",
        }


def former_mappings(practice: Practice) -> Iterator[Row]:
    """Of every third client and of each provider, what an earlier mapping had made."""
    rows = [("clients", "Patient", number) for number in range(1, practice.clients + 1, 3)]
    rows += [("providers", "Practitioner", number) for number in range(1, practice.providers + 1)]
    for number, (table, resource_type, row) in enumerate(rows, 1):
        status = practice.beside.choice(STATUSES)
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "internal_table": table,
            "internal_id": row,
            "fhir_resource_type": resource_type,
            "fhir_resource_id": f"{resource_type.lower()}-{row}",
            "fhir_version": "4.0.1",
            "mapping_status": status,
            "mapping_data": "{}",
            "error_message": "no such code" if status == "failed" else None,
            "error_count": 2 if status == "failed" else 0,
            "last_synced_at": "2025-01-05 09:00:00",
            "created_at": "2024-01-05 09:00:00",
            "updated_at": "2025-01-05 09:00:00",
        }
