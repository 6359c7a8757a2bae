"""Clinics, who works there, and their patients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from seed import dirt
from seed.dirt import sometimes
from seed.pms_providers import npi
from seed.practice import Practice, Row
from seed.sealing import sealed
from seed.words import FIRST, LAST, PAYERS, PLACES

KINDS = ("specialty", "primary_care", "surgery_center")
SPECIALTIES = ("ophthalmology", "orthopedics", "cosmetic")
ROLES = ("physician", "physician", "nurse", "tech", "admin", "receptionist", "Surgeon", "coordinator")
LATER = "+00:00"


def apart(practice: Practice, what: str, number: int) -> Practice:
    """The same practice with a chance of its own: a row comes out the same however often it is asked for."""
    return replace(practice, random=Random(f"{practice.seed}:{practice.tenant}:{what}:{number}"))


def moment(practice: Practice, day: str, hour: int = 14) -> str:
    """With a zone: every timestamp of the EMR has one."""
    return f"{practice.moment(day, hour)}{LATER}"


def clinic_of(patient: int) -> int:
    """Most patients are the first clinic's."""
    return {8: 2, 9: 3}.get(patient % 10, 1)


def staff(practice: Practice) -> int:
    """How many people each clinic has."""
    return max(len(ROLES), min(100, practice.clients // 100))


def clinician(practice: Practice, clinic: int) -> int:
    """A physician of a clinic."""
    return (clinic - 1) * staff(practice) + practice.random.randint(1, 2)


def clinics(practice: Practice) -> Iterator[Row]:
    for number, kind in enumerate(KINDS, 1):
        city, state, zip_code, _ = PLACES[number]
        yield {
            "id": number,
            "name": f"{practice.tenant.title()} {kind.replace('_', ' ').title()} Clinic",
            "npi": npi(500 + number),
            "address": practice.street(),
            "city": city,
            "state": state,
            "zip_code": f"{zip_code}01",
            "clinic_type": kind,
            "specialties": json.dumps([*SPECIALTIES, "primary_care", "Podiatry"][: 2 + number]),
            "hipaa_trained": True,
            "baa_signed_date": "2020-03-01",
            "last_security_audit_date": practice.maybe(0.7, "2025-02-01"),
            "created_at": f"2015-01-05 09:00:00{LATER}",
            "updated_at": f"2024-01-05 09:00:00{LATER}",
        }


def users(practice: Practice) -> Iterator[Row]:
    each = staff(practice)
    for number in range(1, len(KINDS) * each + 1):
        role = ROLES[(number - 1) % each % len(ROLES)]
        yield _user(practice, number, (number - 1) // each + 1, role)


def _user(practice: Practice, number: int, clinic: int, role: str) -> Row:
    random = practice.random
    prescribes = role in ("physician", "Surgeon")
    return {
        "id": number,
        "username": f"user{number}",
        "email": sometimes(random, 0.02, f"user{number}@{practice.tenant}.example", dirt.nothing),
        "first_name": random.choice(FIRST["female"]),
        "last_name": random.choice(LAST),
        "clinic_id": clinic,
        "role": role,
        "specialty": SPECIALTIES[number % 3] if prescribes else None,
        "npi": npi(900 + number) if prescribes or role == "nurse" else None,
        "license_number": f"TX-{4000 + number}" if prescribes or role == "nurse" else None,
        "license_state": "TX" if prescribes else None,
        "dea_number": f"AB{1000000 + number}" if prescribes else None,
        "is_active": random.random() < 0.95,
        "mfa_enabled": random.random() < 0.6,
        "hipaa_trained": True,
        "hipaa_training_date": practice.maybe(0.9, practice.day(360)),
        "last_password_change": moment(practice, practice.day(90)),
        "failed_login_attempts": random.choice((0, 0, 0, 1, 3)),
        "preferred_layout_template_id": practice.maybe(0.3, random.randint(1, 3)) if prescribes else None,
        "password": "pbkdf2_sha256$600000$sample$notahash",
        "date_joined": moment(practice, practice.day(3000, 700)),
    }


def patient(practice: Practice, number: int) -> Row:
    own = apart(practice, "patient", number)
    random, joined = own.random, own.day(2500, 30)
    deceased = random.random() < 0.03
    return {
        "id": number,
        "clinic_id": clinic_of(number),
        "medical_record_number": f"MRN{number:07d}",
        **_person(own),
        "ssn_encrypted": own.maybe(0.8, _ssn(own, number)),
        **_reachable(own, number),
        **_insurance(own),
        **_consents(own),
        "is_deceased": deceased,
        "deceased_date": own.maybe(0.8, own.day(300, 1)) if deceased else None,
        "is_active": own.maybe(0.97, not deceased),
        "record_retention_date": own.dirty_day(own.maybe(0.8, own.day(-1000, -7300))),
        "created_by_id": (clinic_of(number) - 1) * staff(own) + random.randint(1, 6),
        "created_at": moment(own, joined),
        "updated_at": own.maybe(0.9, moment(own, own.day(300))),
    }


def _person(practice: Practice) -> Row:
    random = practice.random
    gender = random.choice(("female", "male"))
    recorded = random.choices((gender, gender[0].upper(), "other", "unknown", None), (80, 12, 3, 2, 3))[0]
    return {
        "first_name": sometimes(random, 0.01, random.choice(FIRST[gender]), dirt.spaces, dirt.shouted, dirt.blank),
        "last_name": random.choice(LAST),
        "date_of_birth": practice.dirty_day(practice.day(90 * 365, 3 * 365), 0.015),
        "gender": sometimes(random, 0.003, recorded, dirt.unknown_code),
    }


def _ssn(practice: Practice, number: int) -> str:
    token = sealed(f"9{number % 100:02d}-{number % 89 + 10}-{practice.random.randint(1000, 9999)}", practice.key)
    return sometimes(practice.random, 0.005, token, lambda _, whole: whole[:40]) or token


def _reachable(practice: Practice, number: int) -> Row:
    city, state, zip_code, area = practice.random.choice(PLACES)
    mail = f"patient{number}@mail.example"
    return {
        "phone_primary": practice.maybe(0.9, practice.phone(area)),
        "email": sometimes(practice.random, 0.02, mail, lambda _, whole: whole.replace("@", " at "), dirt.nothing),
        "address": practice.maybe(0.95, practice.street()),
        "city": city,
        "state": state,
        "zip_code": f"{zip_code}{practice.random.randint(10, 99)}",
    }


def _insurance(practice: Practice) -> Row:
    if practice.random.random() < 0.2:
        return {}
    payer = practice.random.choice(PAYERS)
    return {
        "insurance_primary_company": sometimes(practice.random, 0.05, payer, dirt.spaces, dirt.shouted),
        "insurance_primary_policy_number": f"{payer[:3].upper()}{practice.random.randint(10**7, 10**8 - 1)}",
        "insurance_primary_group_number": practice.maybe(0.7, f"G{practice.random.randint(100, 999)}"),
    }


def _consents(practice: Practice) -> Row:
    random = practice.random
    wishes = [
        {"actor": "Employer clinic", "resource": random.choice(("medications", "notes", "labs"))},
        {"actor": "Former spouse", "resource": "insurance", "until": "2030-12-31"},
        "No contact with relatives",
    ]
    restrictions = json.dumps(random.sample(wishes, random.randint(1, 2))) if random.random() < 0.06 else None
    return {
        "privacy_restrictions": sometimes(random, 0.002, restrictions or "[]", lambda _, __: '{"old": true}'),
        "consent_for_treatment": practice.maybe(0.97, random.random() < 0.97),
        "consent_for_phi_disclosure": practice.maybe(0.9, random.random() < 0.8),
    }
