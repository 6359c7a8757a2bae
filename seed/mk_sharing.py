"""What users of a sample personal health record do: share, invite, upload, report; and what the system notes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from seed import dirt
from seed.dirt import sometimes
from seed.mk_record import RELATIVES, changed, coded, pick
from seed.practice import Practice, Row

ENTITIES = ("lab-result", "insurance", "visit", "procedure")
ACTIONS = ("read", "read", "update", "create", "delete", "login", "logout", "login_failed", "export", "share", "backup")
RECORDS = (
    *("medication", "condition", "lab_result", "allergy", "vitals", "immunization", "procedure", "treatment"),
    *("encounter", "emergency_contact", "insurance", "patient", "user"),
)
Texts = Callable[[list[str]], str]


def other_user(practice: Practice, user: int) -> int:
    return user % practice.clients + 1


def invitation(practice: Practice, number: int, patient: int) -> Row:
    status = pick(practice, number, ("accepted", "accepted", "pending", "rejected", "expired", "cancelled"))
    kind = pick(practice, number, ("patient_share", "family_history_share", "family_join"))
    return {
        "sent_by_user_id": patient,
        "sent_to_user_id": other_user(practice, patient),
        "invitation_type": kind,
        "status": status,
        "title": f"Share with me: {kind.replace('_', ' ')}",
        "message": practice.maybe(0.5, "So that you can help me."),
        "context_data": json.dumps({"patient_id": patient, "permission_level": "view"}),
        "expires_at": practice.maybe(0.7, practice.moment(practice.day(-10, -90))),
        "responded_at": practice.moment(practice.day(100)) if status in ("accepted", "rejected") else None,
        "response_note": practice.maybe(0.1, "Gladly."),
        **changed(practice),
    }


def patient_share(practice: Practice, number: int, patient: int) -> Row:
    return {
        "patient_id": patient,
        "shared_by_user_id": patient,
        "shared_with_user_id": other_user(practice, patient),
        "permission_level": coded(practice, number, ("view", "view", "edit", "full")),
        "custom_permissions": practice.maybe(0.1, '{"medications": "view"}'),
        "is_active": practice.random.random() > 0.1,
        "expires_at": practice.maybe(0.3, practice.moment(practice.day(100, -300))),
        "invitation_id": practice.maybe(0.8, number),
        **changed(practice),
    }


def family_share(practice: Practice, number: int, patient: int) -> Row:
    return {
        "invitation_id": number,
        "family_member_id": RELATIVES * (patient - 1) + 1,
        "shared_by_user_id": patient,
        "shared_with_user_id": other_user(practice, patient),
        "permission_level": "view",
        "is_active": practice.random.random() > 0.2,
        "expires_at": practice.maybe(0.2, practice.moment(practice.day(100, -300))),
        "sharing_note": practice.maybe(0.3, "We have the same grandmother."),
        **changed(practice),
    }


def entity_file(practice: Practice, number: int, patient: int) -> Row:
    paperless = practice.random.random() < 0.2
    return {
        "entity_type": pick(practice, number, ENTITIES),
        "entity_id": patient if practice.random.random() > 0.01 else 10**7,
        "file_name": f"scan-{number}.pdf",
        "file_path": f"/app/uploads/files/scan-{number}.pdf",
        "file_type": sometimes(practice.random, 0.03, "application/pdf", lambda _, __: "pdf", dirt.unknown_code)
        or "pdf",
        "file_size": practice.maybe(0.9, practice.random.randint(10_000, 9_000_000)),
        "description": practice.maybe(0.4, "Both sides of the card"),
        "category": pick(practice, number, ("result", "report", "card")),
        "uploaded_at": practice.moment(practice.day(400)),
        "storage_backend": "paperless" if paperless else "local",
        "paperless_document_id": str(number) if paperless else None,
        "paperless_task_uuid": f"00000000-0000-4000-8000-{number:012d}" if paperless else None,
        "sync_status": pick(
            practice, number, ("synced", "synced", "synced", "pending", "processing", "failed", "missing")
        ),
        "last_sync_at": practice.moment(practice.day(30)) if paperless else None,
        **changed(practice),
    }


def photo(practice: Practice, _: int, patient: int) -> Row:
    uploaded = practice.moment(practice.day(300))
    return {
        "patient_id": patient,
        "file_name": f"photo-{patient}.jpg",
        "file_path": f"/app/uploads/photos/photo-{patient}.jpg",
        "file_size": practice.maybe(0.9, practice.random.randint(20_000, 400_000)),
        "mime_type": practice.maybe(0.9, "image/jpeg"),
        "original_name": practice.maybe(0.8, "me.jpg"),
        "width": 1000,
        "height": 800,
        "uploaded_by": patient,
        "uploaded_at": uploaded,
        "updated_at": uploaded,
    }


def report_template(practice: Practice, number: int, patient: int) -> Row:
    return {
        "user_id": patient,
        "name": pick(practice, number, ("For my doctor", "Everything", "For travel")),
        "description": practice.maybe(0.5, "What I show at each visit"),
        # In the order that PostgreSQL, which keeps no order of members in JSONB, gives back.
        "selected_records": json.dumps({"conditions": "all", "medications": [patient]}),
        "report_settings": json.dumps({"sort": "date"}),
        "is_public": practice.random.random() < 0.1,
        "shared_with_family": practice.random.random() < 0.2,
        "is_active": practice.random.random() > 0.1,
        **changed(practice),
    }


def activities(practice: Practice) -> Iterator[Row]:
    """Two for each patient."""
    for number in range(1, 2 * practice.clients + 1):
        user = practice.random.randint(1, practice.clients)
        action = pick(practice, number, ACTIONS)
        yield {
            "id": number,
            "user_id": practice.maybe(0.98, user),
            "patient_id": practice.maybe(0.9, user),
            "action": action,
            "entity_type": pick(practice, number, RECORDS),
            "entity_id": practice.maybe(0.9, user),
            "description": practice.maybe(0.6, f"{action.replace('_', ' ').capitalize()} by user {user}"),
            "metadata": practice.maybe(0.4, json.dumps({"fields": ["status"]})),
            "ip_address": practice.maybe(0.9, f"10.0.{number % 200}.{user % 250}"),
            "timestamp": practice.moment(practice.day(365), practice.random.randint(0, 23)),
        }


def reports(practice: Practice, texts: Texts) -> Iterator[Row]:
    for number in range(1, practice.clients // 4 + 4):
        status = pick(practice, number, ("success", "success", "success", "failed", "timeout"))
        yield {
            "id": number,
            "user_id": practice.maybe(0.95, practice.random.randint(1, practice.clients)),
            "report_type": pick(practice, number, ("custom_report", "full_export")),
            "categories_included": texts(practice.random.sample(["medications", "conditions", "lab_results"], 2)),
            "total_records": practice.random.randint(1, 400),
            "generation_time_ms": practice.random.randint(80, 9000),
            "file_size_bytes": practice.random.randint(4000, 900_000) if status == "success" else None,
            "status": status,
            "error_details": None if status == "success" else "The renderer gave up.",
            "created_at": practice.moment(practice.day(365)),
        }


def backups(practice: Practice) -> Iterator[Row]:
    for number in range(1, 13):
        kind = pick(practice, number, ("full", "database", "files"))
        yield {
            "id": number,
            "backup_type": kind,
            "status": pick(practice, number, ("created", "failed", "verified")),
            "file_path": f"/app/backups/{kind}-{number}.tar.gz",
            "created_at": practice.moment(practice.day(30 * number, 30 * number - 29), 2),
            "size_bytes": practice.maybe(0.9, practice.random.randint(10**6, 10**9)),
            "description": practice.maybe(0.5, "Every month"),
            "compression_used": True,
            "checksum": practice.maybe(0.9, f"{number:064x}"),
        }
