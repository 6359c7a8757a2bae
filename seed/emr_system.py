"""Images, form layouts, code lists and the audit trail of the EMR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

from seed import dirt
from seed.dirt import sometimes
from seed.emr_chart import EYES_AND_JOINTS
from seed.emr_people import KINDS, SPECIALTIES, apart, moment, staff
from seed.emr_visits import PROCEDURES, digest, encounter, utc, visits
from seed.practice import Practice, Row

ROOT = "1.2.826.0.1.3680043.9.7"
TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.5.4"
PHOTOS = ("photo_preop", "photo_postop", "photo_intraop", "fundus_photo", "document", "selfie")
ACTIONS = ("read",) * 12 + ("create", "update", "update", "login", "logout", "login_failed", "export", "delete")
RECORDS = ("patient", "encounter", "image", "medication", "problem", "report")
FIRST_DAY, LAST_DAY = 900, 1


def uuid(practice: Practice) -> str:
    return str(UUID(int=practice.random.getrandbits(128), version=4))


def series_of(practice: Practice, visit: int) -> str:
    """The series of the images of a visit."""
    return uuid(apart(practice, "series", visit))


def _pictured(practice: Practice) -> Iterator[tuple[Practice, Row]]:
    """The visits at which pictures were taken."""
    for visit in visits(practice):
        own = apart(practice, "image", visit)
        if own.random.random() < 0.25:
            yield own, encounter(practice, visit)


def series(practice: Practice) -> Iterator[Row]:
    for _, seen in _pictured(practice):
        yield {
            "id": series_of(practice, seen["id"]),
            "patient_id": seen["patient_id"],
            "encounter_id": seen["id"],
            "name": f"Visit {seen['id']}",
            "description": "Standard views" if seen["id"] % 2 else None,
            "created_at": seen["encounter_date"],
        }


def images(practice: Practice) -> Iterator[Row]:
    for own, seen in _pictured(practice):
        is_dicom = seen["specialty"] != "cosmetic"
        for at in range(1, own.random.randint(1, 3) + 1):
            yield _image(own, seen, at, series_of(practice, seen["id"]), is_dicom=is_dicom)


def _image(practice: Practice, seen: Row, at: int, group: str, *, is_dicom: bool) -> Row:
    random, eye = practice.random, seen["specialty"] == "ophthalmology"
    kind = ("oct" if eye else "xray") if is_dicom else random.choice(PHOTOS)
    sides = ("OD", "OS", "OU") if eye else ("right", "left")
    return {
        "id": uuid(practice),
        "encounter_id": seen["id"],
        "patient_id": seen["patient_id"],
        "image_type": kind,
        "specialty": seen["specialty"],
        "laterality": practice.maybe(0.8, random.choice(sides)),
        "image_file": f"s3://emr/{seen['clinic_id']}/{seen['id']}/{at}.{'dcm' if is_dicom else 'jpg'}",
        "thumbnail": f"s3://emr/{seen['clinic_id']}/{seen['id']}/{at}-small.jpg",
        "is_dicom": is_dicom,
        "dicom_metadata": _tags(practice, seen, at) if is_dicom else None,
        "series_id": group,
        "photo_type": None if is_dicom else random.choice(("before", "during", "after")),
        "annotations": practice.maybe(0.1, json.dumps({"arrows": [[10, at]]})),
        "is_sensitive": random.random() < 0.1,
        "uploaded_by_id": seen["provider_id"],
        "uploaded_at": seen["encounter_date"],
        "captured_at": practice.maybe(0.7, seen["encounter_date"]),
        "created_at": seen["encounter_date"],
        "updated_at": None,
    }


def _tags(practice: Practice, seen: Row, at: int) -> str:
    study = f"{ROOT}.{seen['id']}"
    tags = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "SOPInstanceUID": f"{study}.1.{at}",
        "SOPClassUID": TOMOGRAPHY,
        "StudyDate": seen["encounter_date"][:10].replace("-", ""),
        "StudyTime": "101500",
        "StudyDescription": "Routine study",
        "Modality": "OPT" if seen["specialty"] == "ophthalmology" else "DX",
        "InstanceNumber": at,
    }
    lost = practice.random.random() < 0.03
    return json.dumps({name: tag for name, tag in tags.items() if not (lost and name == "SOPClassUID")})


def templates(_: Practice) -> Iterator[Row]:
    for number, specialty in enumerate(SPECIALTIES, 1):
        kind = ("new_patient", "follow_up", "surgery")[number - 1]
        yield {
            "id": number,
            "name": f"{specialty.title()} {kind.replace('_', ' ')}",
            "specialty": specialty,
            "visit_type": kind,
            "clinic_id": None if number == 1 else 1,
            "provider_id": 1 if number == 2 else None,
            "is_global": number == 1,
            "layout": json.dumps({"pages": [{"page_number": 1, "sections": [_section()]}]}),
            "auto_population_enabled": True,
            "usage_count": 10 * number,
            "created_at": "2022-01-05 09:00:00+00:00",
            "updated_at": "2024-01-05 09:00:00+00:00",
        }


def _section() -> Row:
    choice = {"type": "select", "options": ["20/20", "20/25", "20/30"], "auto_populate": "last_value"}
    return {
        "id": "visual_acuity",
        "title": "Visual Acuity",
        "position": {"x": 0, "y": 0, "width": 6, "height": 3},
        "fields": [{"name": f"va_{side}", "label": side.upper(), **choice} for side in ("od", "os")],
    }


def sections(practice: Practice) -> Iterator[Row]:
    for number, specialty in enumerate(SPECIALTIES, 1):
        yield {
            "id": number,
            "name": f"{specialty.title()} basics",
            "specialty": specialty,
            "category": "exam",
            "fields": json.dumps(_section()["fields"]),
            "default_width": 6,
            "default_height": 3,
            "is_public": number != 3,
            "usage_count": practice.random.randint(0, 50),
            "created_at": "2022-01-05 09:00:00+00:00",
            "updated_at": None,
        }


def diagnosis_codes(_: Practice) -> Iterator[Row]:
    for number, (code, words) in enumerate(EYES_AND_JOINTS, 1):
        yield {"id": number, "code": code, "description": words, "is_active": True}


def procedure_codes(_: Practice) -> Iterator[Row]:
    for number, (code, words) in enumerate(PROCEDURES, 1):
        yield {"id": number, "code": code, "description": words, "is_active": number != 2}


def logs(practice: Practice) -> Iterator[Row]:
    """Each clinic has a chain of its own; now and then somebody has changed a row of it."""
    last: dict[int, str] = {}
    for number in range(1, 3 * practice.clients + 1):
        own = apart(practice, "log", number)
        row = _log(own, number, 3 * practice.clients)
        row["previous_log_hash"] = last.get(row["clinic_id"])
        row["log_hash"] = last[row["clinic_id"]] = _log_hash(row)
        changed = {"username": "somebody"} if own.random.random() < 0.002 else {}
        yield {**row, **changed}


def _log(practice: Practice, number: int, count: int) -> Row:
    random = practice.random
    clinic = random.choice((1,) * 8 + tuple(range(2, len(KINDS) + 1)))
    user = (clinic - 1) * staff(practice) + random.randint(1, 6)
    action, kind = random.choice(ACTIONS), random.choice(RECORDS)
    about = action not in ("login", "logout", "login_failed")
    day = practice.day(*[FIRST_DAY - (FIRST_DAY - LAST_DAY) * number // count] * 2)
    return {
        "id": number,
        "clinic_id": clinic,
        "user_id": practice.maybe(0.95, user),
        "username": f"user{user}",
        "user_role": random.choice(("physician", "nurse", "admin")),
        "action": sometimes(random, 0.01, action, dirt.shouted, dirt.unknown_code),
        "resource_type": kind if about else None,
        "resource_id": str(random.randint(1, practice.clients)) if about else None,
        "timestamp": moment(practice, day, random.randint(0, 23)),
        "ip_address": f"10.0.0.{random.randint(1, 254)}",
        "user_agent": practice.maybe(0.9, "Mozilla/5.0"),
        "reason": practice.maybe(0.02, "Emergency"),
        "changes": '{"phone":["555-0100","555-0142"]}' if action == "update" else None,
    }


def _log_hash(row: Row) -> str:
    before = ("previous_log_hash", "clinic_id", "user_id", "username", "user_role", "action")
    return digest(
        *(row[name] for name in (*before, "resource_type", "resource_id")),
        utc(row["timestamp"]),
        row["reason"],
        row["changes"],
    )
