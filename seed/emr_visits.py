"""Visits and what was written down at them: exam, diagnoses, procedures, vital signs, signatures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from seed import dirt
from seed.dirt import sometimes
from seed.emr_chart import EYES_AND_JOINTS
from seed.emr_people import SPECIALTIES, apart, clinic_of, clinician, moment
from seed.practice import Practice, Row

STATUSES = ("signed",) * 30 + ("amended",) * 3 + ("in_progress",) * 4 + ("draft",) * 5 + ("cancelled",) * 2
TYPES = ("new_patient", "follow_up", "follow_up", "consultation", "annual", "surgery", "procedure", "post_op")
PROCEDURES = (
    ("66984", "Cataract surgery with lens"),
    ("92134", "Retinal imaging"),
    ("20610", "Injection of a large joint"),
    ("15823", "Blepharoplasty"),
)
SIGNED = ("signed", "amended")


def visits(practice: Practice) -> range:
    return range(1, 2 * practice.clients + 1)


def digest(*values: Any) -> str:
    """What the EMR hashes: its values joined by `|`, moments in UTC."""
    return hashlib.sha256("|".join("" if each is None else str(each) for each in values).encode()).hexdigest()


def utc(written: str) -> str:
    return f"{written[:10]}T{written[11:19]}Z"


def encounter(practice: Practice, number: int) -> Row:
    own = apart(practice, "visit", number)
    random = own.random
    patient = random.randint(1, own.clients)
    status, specialty = random.choice(STATUSES), random.choice(SPECIALTIES)
    day = own.day(-1, -60) if status == "draft" and random.random() < 0.8 else own.day(900, 1)
    row = {
        "id": number,
        "patient_id": patient,
        "clinic_id": clinic_of(patient),
        "provider_id": clinician(own, clinic_of(patient)),
        "encounter_date": moment(own, day, random.randint(8, 17)),
        "encounter_type": random.choice(TYPES),
        "chief_complaint": own.maybe(0.95, random.choice(("Blurred vision", "Knee pain", "Scar revision", "Check-up"))),
        "specialty": specialty,
        "clinical_data": own.maybe(0.8, _written(_exam(own, specialty))),
        "assessment": None if status == "draft" else own.maybe(0.9, random.choice(EYES_AND_JOINTS)[1]),
        "plan": None if status == "draft" else own.maybe(0.9, "Continue treatment, return in three months."),
        "status": status,
        "is_locked": status in SIGNED,
        "is_amended": status == "amended",
        "amendment_reason": "Wrong side documented" if status == "amended" else None,
        "created_at": moment(own, day),
        "updated_at": own.maybe(0.9, moment(own, day, 18)),
    }
    return _signed(own, row)


def _signed(practice: Practice, row: Row) -> Row:
    """The hash of what was signed; now and then somebody has changed the row behind the back of the system."""
    if not row["is_locked"]:
        return {**row, "status": sometimes(practice.random, 0.02, row["status"], dirt.unknown_code)}
    covered = ("encounter_type", "chief_complaint", "clinical_data", "assessment", "plan")
    content = digest(
        row["patient_id"], row["provider_id"], utc(row["encounter_date"]), *(row[each] for each in covered)
    )
    changed = {"plan": "Nothing further."} if practice.random.random() < 0.002 else {}
    return {**row, "content_hash": content, **changed}


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _exam(practice: Practice, specialty: str) -> Row:
    random = practice.random
    if specialty == "ophthalmology":
        return {
            "template_id": 1,
            "visual_acuity": {"va_od": f"20/{random.choice((20, 25, 40))}", "va_os": f"20/{random.choice((20, 30))}"},
            "iop_od": random.randint(10, 28),
            "iop_os": sometimes(random, 0.02, str(random.randint(10, 28)), dirt.nothing),
            "cup_to_disc": random.choice((0.3, 0.4, 0.7)),
            "pupils_equal": True,
        }
    if specialty == "orthopedics":
        return {
            "template_id": 2,
            "rom_flexion_right": random.randint(60, 140),
            "strength_left": random.randint(2, 5),
            "gait": random.choice(("normal", "antalgic")),
        }
    return {"areas": random.sample(["eyelids", "forehead", "neck"], 2), "skin_type": random.randint(1, 6)}


def diagnoses(practice: Practice) -> Iterator[Row]:
    count = 0
    for visit in visits(practice):
        own = apart(practice, "diagnosis", visit)
        for at, (code, words) in enumerate(own.random.sample(EYES_AND_JOINTS, own.random.choice((0, 1, 1, 2))), 1):
            count += 1
            yield {
                "id": count,
                "encounter_id": visit,
                "icd10_code": sometimes(own.random, 0.02, code, dirt.unknown_code, dirt.blank),
                "description": words,
                "laterality": own.maybe(0.5, own.random.choice(("OD", "OS", "OU", "right", "left"))),
                "is_primary": at == 1,
                "sequence": own.maybe(0.9, at),
                **_changed(own),
            }


def procedures(practice: Practice) -> Iterator[Row]:
    count = 0
    for visit in visits(practice):
        own = apart(practice, "procedure", visit)
        if own.random.random() < 0.3:
            count += 1
            code, words = own.random.choice(PROCEDURES)
            seen = encounter(practice, visit)
            yield {
                "id": count,
                "encounter_id": visit,
                "cpt_code": sometimes(own.random, 0.02, code, dirt.unknown_code),
                "description": words,
                "performed_at": own.maybe(0.6, seen["encounter_date"]),
                "laterality": own.maybe(0.6, own.random.choice(("OD", "OS", "left", "right", "both"))),
                "provider_id": seen["provider_id"],
                "notes": own.maybe(0.3, "No complications."),
                **_changed(own),
            }


def _changed(practice: Practice) -> Row:
    return {"created_at": moment(practice, practice.day(900, 100)), "updated_at": None}


def vitals(practice: Practice) -> Iterator[Row]:
    count = 0
    for visit in visits(practice):
        own = apart(practice, "vital", visit)
        if own.random.random() < 0.6:
            count += 1
            yield _vital(own, count, encounter(practice, visit))


def _vital(practice: Practice, number: int, seen: Row) -> Row:
    random = practice.random
    weight, height = random.randint(1000, 2600) / 10, random.randint(58, 76)
    slip = 10 if random.random() < 0.01 else 1
    return {
        "id": number,
        "patient_id": seen["patient_id"],
        "encounter_id": seen["id"],
        "recorded_at": seen["encounter_date"],
        "recorded_by_id": practice.maybe(0.95, seen["provider_id"]),
        "bp_systolic": practice.maybe(0.95, random.randint(95, 180)),
        "bp_diastolic": practice.maybe(0.95, random.randint(55, 110)),
        "heart_rate": practice.maybe(0.9, random.randint(48, 120) * slip * slip),
        "respiratory_rate": practice.maybe(0.7, random.randint(10, 24)),
        "temperature_f": practice.maybe(0.6, random.choice((97.7, 98.6, 99.1, 37.1 if slip > 1 else 98.2))),
        "oxygen_saturation": practice.maybe(0.6, random.randint(92, 100)),
        "weight_lbs": practice.maybe(0.7, weight),
        "height_in": practice.maybe(0.7, height),
        "bmi": practice.maybe(0.5, round(weight * 703.07 / height**2 + (5 if slip > 1 else 0), 1)),
        "pain_score": practice.maybe(0.4, random.randint(0, 10)),
        **_changed(practice),
    }


def signatures(practice: Practice) -> Iterator[Row]:
    count = 0
    for visit in visits(practice):
        seen = encounter(practice, visit)
        if seen["is_locked"]:
            own = apart(practice, "signature", visit)
            for meaning in ("authorship", *own.random.choice(((), (), ("review",), ("approval",)))):
                count += 1
                yield _signature(own, count, seen, meaning)


def _signature(practice: Practice, number: int, seen: Row, meaning: str) -> Row:
    signer = seen["provider_id"] if meaning == "authorship" else clinician(practice, seen["clinic_id"])
    signed_at = seen["encounter_date"][:11] + "19:00:00+00:00"
    content = digest("before it was amended") if seen["is_amended"] else seen["content_hash"]
    seal = digest(seen["id"], signer, utc(signed_at), meaning, content)
    return {
        "id": number,
        "encounter_id": seen["id"],
        "signer_id": signer,
        "signer_name": f"User {signer}, MD",
        "signed_at": signed_at,
        "meaning": meaning,
        "password_verified": True,
        "biometric_verified": practice.random.random() < 0.2,
        "content_hash": content,
        "signature_hash": digest("another") if practice.random.random() < 0.002 else seal,
        "ip_address": f"10.0.{number % 256}.{practice.random.randint(1, 254)}",
        "user_agent": practice.maybe(0.9, "Mozilla/5.0"),
    }
