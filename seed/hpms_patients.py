"""Patients of the sample HPMS: names in clear, everything else in one sealed JSON object."""

from __future__ import annotations

import json
from typing import Any

from seed import dirt
from seed.dirt import sometimes
from seed.hpms_visits import Clinic
from seed.practice import Practice, Row
from seed.sealing import sealed_cbc
from seed.words import ALLERGIES, DIAGNOSES, FIRST, LAST, MEDICATIONS, PAYERS, PLACES

RELATIONSHIPS = ("spouse", "mother", "father", "friend", "neighbor", "boss")


def patient(clinic: Clinic, number: int) -> Row:
    practice, random = clinic.practice, clinic.practice.random
    gender = random.choice(("female", "male"))
    born = practice.dirty_day(practice.day(90 * 365, 30), 0.01)
    token = sealed_cbc(json.dumps(_phi(practice, gender, number), ensure_ascii=False), practice.key)
    return {
        "Id": clinic.guid("Patients", number),
        "TenantId": clinic.id,
        "FirstName": sometimes(random, 0.02, random.choice(FIRST[gender]), dirt.spaces, dirt.shouted, dirt.blank),
        "LastName": random.choice(LAST),
        "DOB": born,
        "PHI_Data": sometimes(random, 0.01, token, lambda _, whole: whole[:40], dirt.blank),
        "IsDeleted": random.random() < 0.02,
    }


def _phi(practice: Practice, gender: str, number: int) -> dict[str, Any]:
    """What the application keeps of a patient; members without a value are left out."""
    random = practice.random
    city, state, zip_code, area = random.choice(PLACES)
    found: dict[str, Any] = {
        "gender": sometimes(random, 0.02, random.choice((gender, gender[0].upper())), dirt.blank, dirt.nothing),
        "mrn": f"MRN-{number:06d}",
        "ssn": practice.maybe(0.7, f"9{number % 100:02d}-{number % 89 + 10}-{random.randint(1000, 9999)}"),
        "phone": practice.maybe(0.4, practice.phone(area)),
        "mobile": practice.maybe(0.9, practice.phone(area)),
        "email": sometimes(random, 0.02, f"patient{number}@mail.example", lambda _, mail: mail.replace("@", " at ")),
        "address": _address(practice, city, state, zip_code),
        "emergencyContact": practice.maybe(0.6, _contact(practice, area)),
        "insurance": practice.maybe(0.8, _insurance(practice)),
        "allergies": practice.maybe(0.4, random.choice((["NKDA"], random.sample(ALLERGIES, 2)))),
        "medications": practice.maybe(0.4, random.sample(MEDICATIONS, random.randint(1, 3))),
        "conditions": practice.maybe(0.5, [name for _, name in random.sample(DIAGNOSES, random.randint(1, 2))]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _address(practice: Practice, city: str, state: str, zip_code: str) -> Any:
    """An object; of patients who were there before it was one, a text."""
    random = practice.random
    street = practice.street()
    if random.random() < 0.05:
        return f"{street}, {city}"
    whole = f"{zip_code}{random.randint(10, 99)}"
    return {"line1": street, "line2": practice.maybe(0.1, "Apt 2"), "city": city, "state": state, "zip": whole}


def _contact(practice: Practice, area: str) -> dict[str, Any]:
    random = practice.random
    return {
        "name": f"{random.choice(FIRST['male'])} {random.choice(LAST)}",
        "phone": practice.phone(area),
        "relationship": random.choice(RELATIONSHIPS),
    }


def _insurance(practice: Practice) -> dict[str, Any]:
    payer = practice.random.choice(PAYERS)
    return {
        "payer": sometimes(practice.random, 0.05, payer, dirt.spaces, dirt.shouted),
        "memberId": f"{payer[:3].upper()}{practice.random.randint(10**7, 10**8 - 1)}",
    }
