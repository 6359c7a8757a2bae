"""What stands in a patient's chart: allergies, medications, problems."""

from __future__ import annotations

from collections.abc import Iterator

from seed import dirt
from seed.dirt import sometimes
from seed.emr_people import apart, clinic_of, clinician, moment
from seed.practice import Practice, Row
from seed.words import ALLERGIES, LAST

EYES_AND_JOINTS = (
    ("H40.1110", "Primary open-angle glaucoma, right eye"),
    ("H25.13", "Age-related nuclear cataract, bilateral"),
    ("H04.123", "Dry eye syndrome of bilateral lacrimal glands"),
    ("M17.11", "Unilateral primary osteoarthritis, right knee"),
    ("M75.102", "Rotator cuff tear of left shoulder"),
    ("L90.5", "Scar conditions and fibrosis of skin"),
    ("I10", "Essential hypertension"),
    ("E11.9", "Type 2 diabetes mellitus without complications"),
)
DRUGS = (
    ("Timolol 0.5 % eye drops", "1 drop", "twice daily", "ophthalmic"),
    ("Latanoprost", "1 drop", "at bedtime", "eye"),
    ("Lisinopril", "10 mg", "daily", "oral"),
    ("Metformin", "500mg", "BID", "PO"),
    ("Ibuprofen", "600 mg", "every 6 hours", "oral"),
    ("Hydrocodone", "5 mg", "as needed", "oral"),
    ("Triamcinolone", "40 mg", "monthly", "injection"),
    ("Vitamin D", "1000 IU", "weekly", "by mouth"),
    ("Artificial tears", "a few drops", "when dry", "eyes"),
)
KINDS = ("Drug", "Food", "Environmental", "NKDA")
REACTIONS = ("Hives", "Swelling", "Nausea", "Shortness of breath", "Rash")


def rows(practice: Practice, what: str, most: int) -> Iterator[tuple[Practice, int, int]]:
    """For each patient some entries: a chance of their own, the number of the entry, the patient."""
    count = 0
    for patient in range(1, practice.clients + 1):
        own = apart(practice, what, patient)
        for _ in range(own.random.choice(range(most + 1))):
            count += 1
            yield own, count, patient


def _changed(practice: Practice) -> Row:
    return {
        "created_at": moment(practice, practice.day(900, 100)),
        "updated_at": practice.maybe(0.8, moment(practice, practice.day(99))),
    }


def allergies(practice: Practice) -> Iterator[Row]:
    for own, number, patient in rows(practice, "allergy", 2):
        severity = own.maybe(0.85, own.random.choice(("mild", "moderate", "severe", "Severe", "life-threatening")))
        yield {
            "id": number,
            "patient_id": patient,
            "allergen": own.random.choice((*ALLERGIES, *KINDS)),
            "severity": sometimes(own.random, 0.005, severity, dirt.unknown_code),
            "reaction": own.maybe(0.7, own.random.choice(REACTIONS)),
            "is_active": own.maybe(0.97, own.random.random() < 0.9),
            **_changed(own),
        }


def medications(practice: Practice) -> Iterator[Row]:
    for own, number, patient in rows(practice, "medication", 4):
        name, dosage, frequency, route = own.random.choice(DRUGS)
        active = own.random.random() < 0.75
        doctor = str(clinician(own, clinic_of(patient)))
        yield {
            "id": number,
            "patient_id": patient,
            "name": sometimes(own.random, 0.01, name, dirt.spaces, dirt.blank),
            "dosage": own.maybe(0.95, dosage),
            "frequency": own.maybe(0.95, frequency),
            "route": sometimes(own.random, 0.02, route, dirt.shouted, dirt.nothing),
            "prescribed_by": own.maybe(0.95, own.random.choice((doctor, doctor, f"Dr. {own.random.choice(LAST)}"))),
            "prescribed_date": own.dirty_day(own.day(1500, 10)),
            "is_active": own.maybe(0.98, active),
            "discontinued_date": None if active else own.maybe(0.7, own.day(300)),
            "discontinued_reason": None if active else own.maybe(0.5, "Side effects"),
            **_changed(own),
        }


def problems(practice: Practice) -> Iterator[Row]:
    for own, number, patient in rows(practice, "problem", 3):
        code, words = own.random.choice(EYES_AND_JOINTS)
        status = own.random.choice(("active", "active", "chronic", "resolved"))
        bare = sometimes(own.random, 0.04, code, lambda _, dotted: dotted.replace(".", ""), dirt.unknown_code)
        yield {
            "id": number,
            "patient_id": patient,
            "description": words,
            "icd10_code": own.maybe(0.9, bare),
            "status": sometimes(own.random, 0.004, status, dirt.unknown_code),
            "onset_date": own.dirty_day(own.maybe(0.8, own.day(3000, 400))),
            "resolved_date": own.day(300) if status == "resolved" or own.random.random() < 0.02 else None,
            **_changed(own),
        }
