"""The chart of a sample personal health record: problems, medications, allergies, vital signs, visits."""

from __future__ import annotations

from seed import dirt
from seed.dirt import sometimes
from seed.mk_record import CONDITIONS, changed, coded, pick, seen_by, tags
from seed.mk_words import (
    ALLERGENS,
    MEDICATIONS,
    PROCEDURES,
    SITES,
    TREATMENTS,
    VACCINES,
)
from seed.mk_words import CONDITIONS as DIAGNOSES
from seed.practice import Practice, Row
from seed.words import REASONS

SEVERITIES = ("mild", "mild", "moderate", "moderate", "severe", "life-threatening")


def a_condition(practice: Practice, patient: int) -> int | None:
    """One of the patient's problems, now and then one that is gone."""
    number = CONDITIONS * (patient - 1) + practice.random.randint(1, CONDITIONS)
    found = number if practice.random.random() > 0.01 else number + 10**7
    return found if practice.random.random() < 0.5 else None


def medication(practice: Practice, number: int, patient: int) -> Row:
    random = practice.random
    name, dosage, frequency, route, indication = pick(practice, number, MEDICATIONS)
    ended = practice.maybe(0.3, practice.day(200))
    status = "stopped" if ended else pick(practice, number, ("active", "active", "on-hold", "completed", "cancelled"))
    return {
        "patient_id": patient,
        "practitioner_id": seen_by(practice, 0.7),
        "pharmacy_id": practice.maybe(0.6, random.randint(1, max(3, practice.providers))),
        "medication_name": sometimes(random, 0.01, name, dirt.spaces, dirt.shouted),
        "dosage": sometimes(random, 0.03, dosage, dirt.blank, dirt.nothing),
        "frequency": sometimes(random, 0.03, frequency, dirt.blank, dirt.shouted),
        "route": sometimes(random, 0.03, route, dirt.blank, dirt.unknown_code),
        "indication": indication,
        "effective_period_start": practice.dirty_day(practice.day(900, 250)),
        "effective_period_end": ended,
        "status": sometimes(random, 0.01, status, dirt.blank, dirt.unknown_code),
        "tags": tags(practice),
        **changed(practice),
    }


def condition(practice: Practice, number: int, patient: int) -> Row:
    random = practice.random
    diagnosis, icd10, snomed, words, name = pick(practice, number, DIAGNOSES)
    status = pick(practice, number, ("active", "active", "inactive", "resolved", "chronic", "recurrence", "relapse"))
    ended = practice.day(200) if status == "resolved" or random.random() < 0.01 else None
    return {
        "patient_id": patient,
        "practitioner_id": seen_by(practice),
        "medication_id": practice.maybe(0.1, number),
        "condition_name": practice.maybe(0.7, random.choice((name, diagnosis))),
        "diagnosis": diagnosis,
        "notes": practice.maybe(0.2, "Runs in the family."),
        "onset_date": practice.dirty_day(practice.day(4000, 300)),
        "status": status,
        "end_date": ended,
        "severity": practice.maybe(0.7, pick(practice, number, SEVERITIES)),
        "icd10_code": practice.maybe(0.8, sometimes(random, 0.04, icd10, dirt.unknown_code, dirt.nothing)),
        "snomed_code": practice.maybe(0.5, sometimes(random, 0.03, snomed, dirt.unknown_code)),
        "code_description": practice.maybe(0.6, words),
        "tags": tags(practice),
        **changed(practice),
    }


def allergy(practice: Practice, number: int, patient: int) -> Row:
    allergen, reaction = pick(practice, number, ALLERGENS)
    status = pick(practice, number, ("active", "active", "active", "inactive", "resolved", "unconfirmed"))
    return {
        "patient_id": patient,
        "medication_id": practice.maybe(0.2, patient),
        "allergen": allergen,
        "reaction": reaction,
        "severity": coded(practice, number, SEVERITIES),
        "onset_date": practice.dirty_day(practice.maybe(0.5, practice.day(9000, 300))),
        "status": sometimes(practice.random, 0.01, status, dirt.blank, dirt.unknown_code),
        "notes": practice.maybe(0.2, "Found as a child."),
        "tags": tags(practice),
        **changed(practice),
    }


def vitals(practice: Practice, _: int, patient: int) -> Row:
    random = practice.random
    height, weight = round(random.gauss(66, 4), 1), round(random.gauss(165, 35), 1)
    pressure = random.random() < 0.8
    return {
        "patient_id": patient,
        "practitioner_id": seen_by(practice, 0.3),
        "recorded_date": practice.moment(practice.day(700), random.randint(6, 21)),
        "systolic_bp": round(random.gauss(124, 14)) if pressure else None,
        "diastolic_bp": round(random.gauss(79, 9)) if pressure and random.random() > 0.01 else None,
        "heart_rate": practice.maybe(0.9, round(random.gauss(72, 10)) if random.random() > 0.005 else 7200),
        "temperature": practice.maybe(0.5, round(random.gauss(98.4, 0.6), 1) if random.random() > 0.01 else 37.0),
        "weight": practice.maybe(0.7, weight),
        "height": practice.maybe(0.5, height),
        "oxygen_saturation": practice.maybe(0.5, float(random.randint(93, 100))),
        "respiratory_rate": practice.maybe(0.4, random.randint(11, 22)),
        "blood_glucose": practice.maybe(0.3, float(random.randint(70, 180))),
        "bmi": practice.maybe(0.4, round(weight * 703.07 / height**2, 1)),
        "pain_scale": practice.maybe(0.3, random.randint(0, 10)),
        "notes": practice.maybe(0.1, "After a walk."),
        "location": practice.maybe(0.6, random.choice(("home", "clinic"))),
        "device_used": practice.maybe(0.4, random.choice(("Omron 5 Series", "Withings BPM"))),
        **changed(practice),
    }


def immunization(practice: Practice, number: int, patient: int) -> Row:
    random = practice.random
    name, trade, ndc, maker = pick(practice, number, VACCINES)
    return {
        "patient_id": sometimes(random, 0.004, str(patient), dirt.blank) and patient,
        "practitioner_id": seen_by(practice, 0.5),
        "vaccine_name": name,
        "vaccine_trade_name": practice.maybe(0.6, trade),
        "date_administered": practice.dirty_day(practice.day(3000), 0.005),
        "dose_number": practice.maybe(0.6, random.randint(1, 3) if random.random() > 0.01 else 0),
        "ndc_number": practice.maybe(0.5, sometimes(random, 0.03, ndc, dirt.unknown_code)),
        "lot_number": practice.maybe(0.6, f"L{random.randint(1000, 9999)}"),
        "manufacturer": practice.maybe(0.7, sometimes(random, 0.03, maker, dirt.spaces, dirt.shouted)),
        "site": practice.maybe(0.6, pick(practice, number, SITES)),
        "route": practice.maybe(0.6, random.choice(("intramuscular", "IM", "subcutaneous", "nasal", "oral"))),
        "expiration_date": practice.maybe(0.5, practice.day(-30, -600)),
        "location": practice.maybe(0.5, random.choice(("CVS", "School", "Clinic"))),
        "notes": practice.maybe(0.1, "Sore arm."),
        "tags": tags(practice),
        **changed(practice),
    }


def procedure(practice: Practice, number: int, patient: int) -> Row:
    random = practice.random
    name, code, kind = pick(practice, number, PROCEDURES)
    status = pick(practice, number, ("completed", "completed", "completed", "scheduled", "in_progress", "cancelled"))
    return {
        "patient_id": patient,
        "practitioner_id": seen_by(practice),
        "condition_id": a_condition(practice, patient),
        "procedure_name": name,
        "procedure_type": kind,
        "procedure_code": practice.maybe(0.7, sometimes(random, 0.03, code, dirt.unknown_code)),
        "date": practice.dirty_day(practice.day(-1, -90) if status == "scheduled" else practice.day(2000, 1)),
        "description": practice.maybe(0.3, f"{name}, no surprises"),
        "status": sometimes(random, 0.01, status, dirt.blank, dirt.unknown_code),
        "notes": practice.maybe(0.2, "Home the same day."),
        "facility": practice.maybe(0.6, "City Hospital"),
        "procedure_setting": pick(practice, number, ("outpatient", "inpatient", "office")),
        "procedure_complications": practice.maybe(0.05, "Bleeding"),
        "procedure_duration": practice.maybe(0.5, random.randint(10, 180)),
        "anesthesia_type": practice.maybe(0.5, pick(practice, number, ("local", "regional", "general", "sedation"))),
        "anesthesia_notes": practice.maybe(0.1, "Woke up well."),
        "tags": tags(practice),
        **changed(practice),
    }


def treatment(practice: Practice, number: int, patient: int) -> Row:
    random = practice.random
    name, kind, frequency, dosage = pick(practice, number, TREATMENTS)
    status = pick(practice, number, ("active", "active", "in_progress", "completed", "cancelled", "on_hold"))
    begun = practice.day(-5, -60) if status == "active" and random.random() < 0.2 else practice.day(900, 300)
    return {
        "patient_id": patient,
        "practitioner_id": seen_by(practice),
        "condition_id": a_condition(practice, patient),
        "treatment_name": name,
        "treatment_type": kind,
        "start_date": practice.dirty_day(begun),
        "end_date": practice.day(250) if status == "completed" else None,
        "status": sometimes(random, 0.01, status, dirt.blank, dirt.unknown_code),
        "treatment_category": pick(practice, number, ("outpatient", "inpatient")),
        "notes": practice.maybe(0.2, "Feels better."),
        "frequency": practice.maybe(0.8, frequency),
        "outcome": practice.maybe(0.3, "Less pain"),
        "description": practice.maybe(0.5, f"{name} for <{random.randint(2, 12)} weeks & more"),
        "location": practice.maybe(0.4, "City clinic"),
        "dosage": dosage,
        "tags": tags(practice),
        **changed(practice),
    }


def encounter(practice: Practice, number: int, patient: int) -> Row:
    random, reason = practice.random, practice.random.choice(REASONS)
    kinds = ("annual checkup", "follow-up", "consultation", "urgent care", "physical")
    return {
        "patient_id": sometimes(random, 0.004, str(patient), dirt.blank) and patient,
        "practitioner_id": seen_by(practice),
        "condition_id": a_condition(practice, patient),
        "reason": reason,
        "date": practice.dirty_day(practice.day(900, -60)),
        "notes": practice.maybe(0.4, "Long wait, good talk."),
        "visit_type": practice.maybe(0.9, pick(practice, number, kinds)),
        "chief_complaint": practice.maybe(0.5, random.choice((reason, "Tired all day"))),
        "diagnosis": practice.maybe(0.4, random.choice(DIAGNOSES)[0]),
        "treatment_plan": practice.maybe(0.3, "Rest and fluids"),
        "follow_up_instructions": practice.maybe(0.3, "Come back in three months"),
        "duration_minutes": practice.maybe(0.6, random.choice((15, 20, 30, 45))),
        "location": practice.maybe(0.9, pick(practice, number, ("office", "office", "hospital", "telehealth", "home"))),
        "priority": sometimes(
            random, 0.01, pick(practice, number, ("routine", "routine", "urgent", "emergency")), dirt.blank
        ),
        "tags": tags(practice),
        **changed(practice),
    }
