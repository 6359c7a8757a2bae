"""Clinicians: licences, languages, hours."""

from __future__ import annotations

import json
from datetime import timedelta

from seed import dirt
from seed.dirt import sometimes
from seed.practice import TODAY, Practice, Row
from seed.words import FIRST, LANGUAGES, LAST, PLACES, SPECIALTIES


def npi(number: int) -> str:
    """A valid National Provider Identifier."""
    start = f"1{number:08d}"
    doubled = (int(each) * (1 if at % 2 else 2) for at, each in enumerate(reversed("80840" + start)))
    total = sum(each - 9 if each > 9 else each for each in doubled)
    return f"{start}{-total % 10}"


def provider(practice: Practice, number: int) -> Row:
    random = practice.random
    city, state, zip_code, area = random.choice(PLACES)
    left = practice.maybe(0.08, practice.day(700, 1))
    return {
        "id": number,
        "tenant_id": practice.tenant,
        **_clinician(practice, number, state),
        "phone": practice.phone(area),
        "fax": practice.maybe(0.5, practice.phone(area)),
        "office_address_line1": practice.street(),
        "office_city": city,
        "office_state": state,
        "office_zip_code": f"{zip_code}{random.randint(10, 99)}",
        "default_location_id": random.randint(1, 3),
        "availability": _hours(practice),
        "hire_date": practice.day(4000, 800),
        "termination_date": left,
        "is_active": left is None,
        "accepts_new_clients": random.random() < 0.8,
        "default_appointment_duration": random.choice((30, 45, 50, 60)),
        "created_at": practice.moment(practice.day(3000, 900)),
        "updated_at": practice.moment(practice.day(800)),
    }


def _clinician(practice: Practice, number: int, state: str) -> Row:
    random = practice.random
    first, last = random.choice(FIRST[random.choice(("female", "male"))]), random.choice(LAST)
    specialty, taxonomy, credentials = random.choice(SPECIALTIES)
    expires = (TODAY + timedelta(days=random.randint(30, 900))).isoformat()
    return {
        "npi": sometimes(random, 0.05, npi(number + 100), lambda _, npi: npi[::-1], dirt.blank, lambda _, npi: npi[:9]),
        "dea_number": f"B{last[0].upper()}{random.randint(10**6, 10**7 - 1)}" if credentials in ("MD", "DO") else None,
        "license_number": practice.maybe(0.95, f"{state}-{random.randint(10_000, 99_999)}"),
        "license_state": sometimes(random, 0.1, state, dirt.blank),
        "license_expiration_date": practice.dirty_day(expires, 0.03),
        "credentials": sometimes(random, 0.1, credentials, dirt.blank, lambda _, word: ".".join(word) + "."),
        "title": practice.maybe(0.4, "Dr."),
        "first_name": first,
        "middle_name": practice.maybe(0.3, random.choice(FIRST["male"])),
        "last_name": last,
        "email": f"{first}.{last}@{practice.tenant}.example".lower().replace("'", ""),
        "languages": practice.maybe(0.9, json.dumps(sorted({"English", random.choice(LANGUAGES)}))),
        "taxonomy_code": sometimes(random, 0.05, taxonomy, dirt.unknown_code),
        "specialty": specialty,
        "specialties": practice.maybe(0.5, json.dumps([random.choice(SPECIALTIES)[0]])),
        "bio": f"Dr. {last} likes hiking.",
    }


def _hours(practice: Practice) -> str | None:
    random = practice.random
    days = random.sample(("monday", "tuesday", "wednesday", "thursday", "friday"), random.randint(2, 5))
    hours = {day: {"start": "09:00", "end": random.choice(("17:00", "18:30"))} for day in days}
    return sometimes(random, 0.05, json.dumps(hours), lambda _, written: written[:-2], dirt.blank)
