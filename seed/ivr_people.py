"""Organizations, users, providers and insurers of the sample IVR platform, and its patients with what they have."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from seed import dirt
from seed.dirt import sometimes
from seed.pms_providers import npi
from seed.practice import Practice, Row
from seed.sealing import sealed_gcm
from seed.words import DIAGNOSES, FIRST, LAST, PAYERS, PLACES

ROLES = ("ADMIN", "DOCTOR", "IVR", "MASTER_DISTRIBUTOR", "CHP_ADMIN", "DISTRIBUTOR", "SALES", "LOGISTICS")
KINDS = ("CLINIC", "HOSPITAL", "COMMUNITY_HEALTH_PROGRAM", "DISTRIBUTOR", "Wound center")
PUBLIC = {"Medicaid": "MEDICAID", "Medicare": "MEDICARE"}
STATUSES = ("Active", "Active", "Resolved", "Chronic")
KEY_ID = "kms/phi/2024"


@dataclass(slots=True)
class Request:
    """What other tables need to know of a request."""

    number: int
    id: str
    patient: str
    submitter: str
    day: str


@dataclass
class Platform:
    """The platform in the making. Ids are a function of table and number: no row is kept to be pointed to."""

    practice: Practice
    organizations: int
    policies: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Insurer and number of each patient's first policy."""
    requested: list[Request] = field(default_factory=list)
    sized: list[tuple[str, int, str]] = field(default_factory=list)
    """Products that come in sizes: id, quantity, day."""
    sealed: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Sealed values: table, row, column, day."""

    @property
    def users(self) -> int:
        return self.organizations * len(ROLES)

    @property
    def providers(self) -> int:
        return max(6, self.practice.clients // 40)

    def id(self, table: str, number: int | str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{table}.{number}.{self.practice.tenant}.ivr.example"))

    def times(self, day: str) -> Row:
        changed = max(day, self.practice.day(300))
        return {"created_at": self.moment(day), "updated_at": self.practice.maybe(0.97, self.moment(changed, 18))}

    def moment(self, day: str, hour: int = 9) -> str:
        return f"{self.practice.moment(day, hour)}+00:00"

    def seal(self, value: str, table: str, row: str, column: str, day: str, share: float = 0.1) -> str:
        """Some values are sealed, and then the register of sealed values knows."""
        if self.practice.random.random() >= share:
            return value
        self.sealed.append((table, row, column, day))
        return sealed_gcm(value, self.practice.key)


def organization(platform: Platform, number: int) -> Row:
    city, state, zip_code, area = PLACES[number % len(PLACES)]
    return {
        "id": platform.id("organizations", number),
        "name": f"{platform.practice.tenant.title()} {city}",
        "type": KINDS[(number - 1) % len(KINDS)],
        "tax_id": f"12-{3456000 + number}",
        "address": f"{platform.practice.street()}, {city}, {state} {zip_code}01",
        "phone": platform.practice.phone(area),
        "email": f"office{number}@{platform.practice.tenant}.example",
        "is_active": True,
        **platform.times("2021-03-01"),
    }


def user(platform: Platform, number: int) -> Row:
    """Each organization has a user of each role."""
    random = platform.practice.random
    role = ROLES[(number - 1) % len(ROLES)]
    return {
        "id": platform.id("users", number),
        "email": sometimes(random, 0.02, f"user{number}@{platform.practice.tenant}.example", dirt.spaces),
        "first_name": random.choice(FIRST["female"]),
        "last_name": random.choice(LAST),
        "password_hash": "$2b$12$not.a.hash",
        "role": role,
        "organization_id": platform.id("organizations", (number - 1) // len(ROLES) + 1),
        "is_active": True,
        "is_superuser": role == "ADMIN",
        **platform.times("2021-04-01"),
    }


def provider(platform: Platform, number: int) -> Row:
    practice, random = platform.practice, platform.practice.random
    is_facility = number % 4 == 0
    city, state, zip_code, area = random.choice(PLACES)
    person = f"{random.choice(('Dr. ', ''))}{random.choice(FIRST['male'])} {random.choice(LAST)}, MD"
    return {
        "id": platform.id("healthcare_providers", number),
        "name": f"{city} Wound Center {number}" if is_facility else person,
        "type": "FACILITY" if is_facility else "INDIVIDUAL",
        "npi": sometimes(random, 0.03, npi(number), lambda _, whole: whole[:9]),
        "tax_id": practice.maybe(0.6, f"98-{7654000 + number}"),
        "specialization": practice.maybe(0.8, random.choice(("Wound care", "Podiatry", "Vascular surgery"))),
        "address": f"{practice.street()}, {city}, {state} {zip_code}02",
        "phone": practice.phone(area),
        "email": practice.maybe(0.8, f"provider{number}@mail.example"),
        "is_active": practice.maybe(0.97, True) or False,
        **platform.times("2021-05-01"),
    }


def insurer(platform: Platform, number: int) -> Row:
    name = PAYERS[number - 1]
    details = {"copay": 20 + number, "plan": {"name": "Gold", "annual_max": 5000}, "telehealth": True}
    return {
        "id": platform.id("insurance_providers", number),
        "name": name,
        "type": PUBLIC.get(name, "PRIVATE"),
        "contact_phone": platform.practice.phone("800"),
        "contact_email": f"claims{number}@mail.example",
        "website": f"https://payer{number}.example",
        "coverage_details": json.dumps(details) if number % 3 else None,
        "is_active": number != len(PAYERS),
        **platform.times("2021-05-02"),
    }


def patient(platform: Platform, number: int) -> Row:
    practice, random = platform.practice, platform.practice.random
    own, day = platform.id("patients", number), practice.day(900, 400)
    gender = random.choice(("female", "male"))
    city, state, zip_code, area = random.choice(PLACES)
    address = f"{practice.street()}, {city}, {state} {zip_code}{random.randint(10, 99)}"
    medicaid = practice.maybe(0.3, f"MC{number:08d}")
    return {
        "id": own,
        "first_name": sometimes(random, 0.02, random.choice(FIRST[gender]), dirt.spaces, dirt.shouted),
        "last_name": random.choice(LAST),
        "date_of_birth": practice.dirty_day(practice.day(95 * 365, 30 * 365), 0.01),
        "gender": sometimes(random, 0.02, random.choice((gender, gender[0].upper())), dirt.blank, dirt.nothing),
        "phone": platform.seal(practice.phone(area), "patients", own, "phone", day, 0.05),
        "email": sometimes(random, 0.02, f"patient{number}@mail.example", lambda _, mail: mail.replace("@", " at ")),
        "address": platform.seal(address, "patients", own, "address", day),
        "emergency_contact_name": practice.maybe(0.7, f"{random.choice(FIRST['male'])} {random.choice(LAST)}"),
        "emergency_contact_phone": practice.maybe(0.6, practice.phone(area)),
        "medicaid_number": medicaid and platform.seal(medicaid, "patients", own, "medicaid_number", day, 0.3),
        **platform.times(day),
    }


def policies(platform: Platform, number: int) -> Iterator[Row]:
    """None, one or two policies; of one in a hundred it is sealed what its number is."""
    practice, random = platform.practice, platform.practice.random
    for rank in range(random.choices((0, 1, 2), (15, 70, 15))[0]):
        payer = random.randint(1, len(PAYERS))
        policy = f"{PAYERS[payer - 1][:3].upper()}{random.randint(10**7, 10**8 - 1)}"
        own, starts = platform.id("patient_insurance", f"{number}-{rank}"), practice.day(900, 200)
        platform.policies.setdefault(number, (PAYERS[payer - 1], policy))
        yield {
            "id": own,
            "patient_id": platform.id("patients", number),
            "insurance_provider_id": platform.id("insurance_providers", payer),
            "policy_number": platform.seal(policy, "patient_insurance", own, "policy_number", starts, 0.01),
            "group_number": practice.maybe(0.6, f"G{random.randint(100, 999)}"),
            "coverage_type": ("Primary", "Secondary")[rank],
            "effective_date": practice.dirty_day(starts),
            "expiration_date": practice.maybe(0.4, practice.day(100, -300)),
            "is_active": random.random() < 0.95,
            **platform.times(starts),
        }


def condition(platform: Platform, number: int) -> Row:
    practice, random = platform.practice, platform.practice.random
    code, name = random.choice(DIAGNOSES)
    own, day = platform.id("medical_conditions", number), practice.day(900, 100)
    return {
        "id": own,
        "patient_id": platform.id("patients", number),
        "condition_name": name,
        "icd_10_code": sometimes(random, 0.04, code, lambda _, dotted: dotted.replace(".", ""), dirt.unknown_code),
        "diagnosis_date": practice.dirty_day(day),
        "status": STATUSES[number % len(STATUSES)],
        "notes": practice.maybe(0.4, platform.seal("Seen at home.", "medical_conditions", own, "notes", day)),
        "diagnosed_by": platform.id("healthcare_providers", random.randint(1, platform.providers)),
        **platform.times(day),
    }


def sealed_values(platform: Platform) -> Iterator[Row]:
    for number, (table, row, column, day) in enumerate(platform.sealed, 1):
        yield {
            "id": platform.id("encryption_audit", number),
            "table_name": table,
            "record_id": row,
            "field_name": column,
            "encryption_key_id": KEY_ID,
            "encrypted_at": platform.moment(day),
            "encryption_algorithm": "AES-256-GCM",
        }
