"""People of a sample personal health record: accounts, patients, whom to call, relatives, insurers, the directory."""

from __future__ import annotations

import json
from collections.abc import Iterator

from seed import dirt
from seed.dirt import sometimes
from seed.mk_record import changed, coded, is_dependent, owner, pick
from seed.mk_words import PHARMACIES, SPECIALTIES, TAGS
from seed.practice import Practice, Row
from seed.sealing import sealed
from seed.words import FIRST, LAST, PAYERS, PLACES

BLOOD = ("O+", "A+", "B+", "AB+", "O-", "A-", "B-", "AB-")
RELATIVES = (
    *("father", "mother", "brother", "sister", "paternal_grandfather", "paternal_grandmother"),
    *("maternal_grandfather", "maternal_grandmother", "uncle", "aunt", "cousin", "other"),
)
KINDS = (
    *("cardiovascular", "diabetes", "cancer", "mental_health", "neurological"),
    *("autoimmune", "genetic", "respiratory", "endocrine", "other"),
)
FAMILY_CONDITIONS = ("Heart attack", "Diabetes", "Breast cancer", "Depression", "Stroke", "Lupus", "Asthma")
FEMALE = ("mother", "sister", "paternal_grandmother", "maternal_grandmother", "aunt")


def name(practice: Practice) -> str:
    random = practice.random
    return f"{random.choice(FIRST[random.choice(('female', 'male'))])} {random.choice(LAST)}"


def users(practice: Practice) -> Iterator[Row]:
    """An account for each patient, and two more for those who run the system and those who only look."""
    for number in range(1, practice.clients + 3):
        is_patient = number <= practice.clients
        method = pick(practice, number, ("local", "sso", "hybrid", "local", "local"))
        by_provider = method != "local"
        provider = pick(practice, number, ("google", "google", "github", "oidc")) if by_provider else None
        yield {
            "id": number,
            "username": f"user{number}",
            "email": sometimes(practice.random, 0.01, f"user{number}@{practice.tenant}.example", dirt.spaces),
            "password_hash": "$2b$12$NotAHashOfAnyPasswordAtAll",
            "full_name": name(practice),
            "role": "user" if is_patient else ("admin", "guest")[number - practice.clients - 1],
            "auth_method": method,
            "external_id": f"{provider}-{number}" if by_provider else None,
            "sso_provider": provider,
            "sso_metadata": '{"picture": "https://x.example/p.png"}' if by_provider else None,
            "last_sso_login": practice.moment(practice.day(60)) if by_provider else None,
            "account_linked_at": practice.moment(practice.day(600, 300)) if by_provider else None,
            "sso_linking_preference": coded(practice, number, ("auto_link", "create_separate", "always_ask")),
            "active_patient_id": number if is_patient else None,
            **changed(practice),
        }


def patient(practice: Practice, number: int, _: int) -> Row:
    random = practice.random
    sex = random.choice(("female", "male"))
    born = practice.day(17 * 365, 30) if is_dependent(number) else practice.day(90 * 365, 18 * 365)
    relation = pick(practice, number // 5, ("child", "child", "parent", "spouse")) if is_dependent(number) else "self"
    return {
        "user_id": number,
        "owner_user_id": owner(number),
        "is_self_record": not is_dependent(number),
        "family_id": practice.maybe(0.1, number // 5),
        "relationship_to_family": relation if practice.random.random() < 0.9 else None,
        "privacy_level": coded(practice, number, ("owner", "owner", "owner", "family", "private", "public", "shared")),
        "external_account_id": practice.maybe(0.03, 9000 + number),
        "is_externally_accessible": random.random() < 0.05,
        "first_name": sometimes(random, 0.01, random.choice(FIRST[sex]), dirt.spaces, dirt.shouted),
        "last_name": random.choice(LAST),
        "birth_date": practice.dirty_day(born),
        "physician_id": practice.maybe(0.7, random.randint(1, practice.providers)),
        "blood_type": practice.maybe(0.6, sometimes(random, 0.02, pick(practice, number, BLOOD), dirt.nothing)),
        "height": practice.maybe(0.8, round(random.gauss(66, 4), 1) if random.random() > 0.01 else 660.0),
        "weight": practice.maybe(0.8, round(random.gauss(165, 35), 1)),
        "gender": sometimes(random, 0.03, sex, dirt.blank, lambda r, _: r.choice(("F", "other", "unknown", "zz"))),
        "address": practice.maybe(0.7, f"{practice.street()}, {random.choice(PLACES)[0]}"),
        **changed(practice),
    }


def preference(practice: Practice, number: int, patient: int) -> Row:
    uses_paperless = practice.random.random() < 0.1 or number == 1
    return {
        "user_id": patient,
        "unit_system": pick(practice, number, ("imperial", "imperial", "metric")),
        "session_timeout_minutes": practice.random.choice((15, 30, 30, 60)),
        "paperless_enabled": uses_paperless,
        "paperless_url": "https://documents.example" if uses_paperless else None,
        "paperless_api_token_encrypted": sealed(f"token {number}", practice.key) if uses_paperless else None,
        "paperless_username_encrypted": sealed(f"user{number}", practice.key) if uses_paperless else None,
        "paperless_password_encrypted": sealed("not a password", practice.key) if uses_paperless else None,
        "default_storage_backend": "paperless" if uses_paperless else "local",
        "paperless_auto_sync": uses_paperless,
        "paperless_sync_tags": True,
        **changed(practice),
    }


def tag(practice: Practice, number: int, patient: int) -> Row:
    return {"user_id": patient, "tag": TAGS[number % len(TAGS)], "created_at": practice.moment(practice.day(500))}


def contact(practice: Practice, number: int, patient: int) -> Row:
    area = practice.random.choice(PLACES)[3]
    relations = ("spouse", "parent", "child", "friend", "Mother", "brother", "neighbor", "boss")
    return {
        "patient_id": patient,
        "name": name(practice),
        "relationship": pick(practice, number, relations),
        "phone_number": practice.phone(area),
        "secondary_phone": practice.maybe(0.3, practice.phone(area)),
        "email": practice.maybe(0.5, sometimes(practice.random, 0.02, f"c{number}@x.example", dirt.unknown_code)),
        "is_primary": True,
        "is_active": practice.random.random() > 0.04 and number != 9,
        "address": practice.maybe(0.4, practice.street()),
        "notes": practice.maybe(0.1, "Call in the evening."),
        **changed(practice),
    }


def insurance(practice: Practice, number: int, patient: int) -> Row:
    random, payer = practice.random, practice.random.choice(PAYERS)
    kind = pick(practice, number, ("medical", "medical", "dental", "vision", "prescription"))
    prescription = {"bin": "610014", "pcn": "MEDDPRIME", "rx_group": f"RX{number % 90}"}
    status = coded(practice, number, ("active", "active", "active", "active", "inactive", "expired", "pending"))
    return {
        "patient_id": patient,
        "insurance_type": kind,
        "company_name": sometimes(random, 0.02, payer, dirt.spaces, dirt.shouted),
        "employer_group": practice.maybe(0.4, f"{random.choice(LAST)} Inc."),
        "member_name": name(practice),
        "member_id": f"{payer[:3].upper()}{10**6 + number}",
        "group_number": practice.maybe(0.7, f"G{random.randint(100, 999)}"),
        "plan_name": practice.maybe(0.6, f"{payer} PPO"),
        "policy_holder_name": practice.maybe(0.3, name(practice)),
        "relationship_to_holder": pick(practice, number, ("self", "self", "self", "spouse", "child", "dependent")),
        "effective_date": practice.day(1500, 400),
        "expiration_date": practice.day(300, 10)
        if status == "expired"
        else practice.maybe(0.3, practice.day(-30, -600)),
        "status": status,
        "is_primary": True,
        "coverage_details": json.dumps(prescription if kind == "prescription" else {"primary_care_copay": 25}),
        "contact_info": practice.maybe(0.5, json.dumps({"phone": practice.phone("312"), "website": "x.example"})),
        "notes": practice.maybe(0.1, "Card in the wallet."),
        **changed(practice),
    }


def relative(practice: Practice, number: int, patient: int) -> Row:
    random, relation = practice.random, pick(practice, number, RELATIVES)
    born = random.randint(1925, 2000)
    died = born + random.randint(40, 70) if random.random() < 0.3 else None
    dead = died is not None and died < 2025
    return {
        "patient_id": patient,
        "name": name(practice),
        "relationship": sometimes(random, 0.01, relation, dirt.unknown_code),
        "gender": practice.maybe(0.8, "female" if relation in FEMALE else "male"),
        "birth_year": practice.maybe(0.8, born),
        "death_year": died if dead else None,
        "is_deceased": dead,
        "notes": practice.maybe(0.1, "Told by an aunt."),
        **changed(practice),
    }


def relatives_condition(practice: Practice, number: int, member: int) -> Row:
    random = practice.random
    return {
        "family_member_id": member,
        "condition_name": random.choice(FAMILY_CONDITIONS),
        "diagnosis_age": practice.maybe(0.7, random.randint(20, 80)),
        "severity": pick(practice, number, ("mild", "moderate", "severe", "life-threatening")),
        "status": pick(practice, number, ("active", "resolved", "chronic")),
        "condition_type": coded(practice, number, KINDS),
        "notes": practice.maybe(0.1, "Had an operation."),
        "icd10_code": practice.maybe(0.3, sometimes(random, 0.03, "I21.9", dirt.unknown_code)),
        **changed(practice),
    }


def practitioners(practice: Practice) -> Iterator[Row]:
    for number in range(1, practice.providers + 1):
        yield {
            "id": number,
            "name": f"Dr. {name(practice)}",
            "specialty": practice.random.choice(SPECIALTIES),
            "practice": f"{PLACES[number % len(PLACES)][0]} Medical Group",
            "phone_number": practice.maybe(0.9, practice.phone(PLACES[number % len(PLACES)][3])),
            "website": practice.maybe(0.4, "https://doctors.example"),
            "rating": practice.maybe(0.5, round(practice.random.uniform(1, 5), 1)),
        }


def pharmacies(practice: Practice) -> Iterator[Row]:
    for number in range(1, max(3, practice.providers) + 1):
        city, state, zip_code, area = PLACES[number % len(PLACES)]
        brand = PHARMACIES[number % len(PHARMACIES)]
        yield {
            "id": number,
            "name": f"{brand} {city}",
            "brand": brand,
            "street_address": practice.street(),
            "city": city,
            "state": state,
            "zip_code": f"{zip_code}01",
            "country": practice.maybe(0.5, "USA"),
            "store_number": f"#{100 + number}",
            "phone_number": practice.phone(area),
            "fax_number": practice.maybe(0.5, practice.phone(area)),
            "email": practice.maybe(0.3, f"store{number}@pharmacy.example"),
            "website": "https://pharmacy.example",
            "hours": practice.maybe(0.7, "Mon-Fri 9-21, Sat 9-18"),
            "drive_through": number % 2 == 0,
            "twenty_four_hour": number % 5 == 0,
            "specialty_services": practice.maybe(0.4, "Vaccinations, MTM"),
            **changed(practice),
        }
