"""Clients: who they are, how to reach them, who pays, what they have."""

from __future__ import annotations

from seed import dirt
from seed.dirt import sometimes
from seed.practice import Practice, Row
from seed.sealing import sealed
from seed.words import ALLERGIES, DIAGNOSES, FIRST, LANGUAGES, LAST, MEDICATIONS, PAYERS, PLACES, REASONS


def client(practice: Practice, number: int) -> Row:
    random = practice.random
    status = random.choices(
        ("active", "inactive", "discharged", "prospective", "waitlist", "deceased"), (70, 8, 12, 4, 3, 3)
    )[0]
    joined = practice.day(2500, 30)
    return {
        "id": number,
        "tenant_id": practice.tenant,
        "client_number": f"C{number:06d}",
        "ssn_encrypted": practice.maybe(0.8, _ssn(practice, number)),
        **_person(practice, status),
        **_reachable(practice),
        "primary_provider_id": practice.maybe(0.95, random.randint(1, practice.providers)),
        "referring_provider": practice.maybe(0.2, f"Dr. {random.choice(LAST)}"),
        "status": sometimes(random, 0.01, status, dirt.shouted, dirt.blank, dirt.spaces),
        **_insurance(practice, number),
        **_clinical(practice),
        "intake_date": joined,
        "discharge_date": practice.day(29) if status == "discharged" else None,
        "notes": practice.maybe(0.1, "Prefers afternoon appointments."),
        "created_by": random.randint(1, practice.providers + 2),
        "created_at": practice.moment(joined),
        "updated_at": practice.maybe(0.9, practice.moment(practice.day(400))),
        "deleted_at": practice.maybe(0.01, practice.moment(practice.day(100))),
    }


def _ssn(practice: Practice, number: int) -> str:
    ssn = f"9{number % 100:02d}-{number % 89 + 10}-{practice.random.randint(1000, 9999)}"
    written = sometimes(practice.random, 0.01, ssn, lambda _, whole: whole[:7])
    token = sealed(written or ssn, practice.key)
    return sometimes(practice.random, 0.005, token, lambda _, whole: whole[:40]) or token


def _person(practice: Practice, status: str) -> Row:
    random = practice.random
    gender = random.choice(("female", "male"))
    recorded = random.choices((gender, gender[0].upper(), "non-binary", "unknown", None), (80, 12, 3, 2, 3))[0]
    first = random.choice(FIRST[gender])
    born = practice.dirty_day(practice.day(90 * 365, 3 * 365), 0.015)
    return {
        "first_name": sometimes(random, 0.01, first, dirt.spaces, dirt.shouted, dirt.blank),
        "middle_name": practice.maybe(0.4, random.choice(FIRST[gender])),
        "last_name": random.choice(LAST),
        "suffix": practice.maybe(0.03, random.choice(("Jr.", "Sr.", "III"))),
        "preferred_name": practice.maybe(0.1, first[:3]),
        "pronouns": practice.maybe(0.2, "she/her" if gender == "female" else "he/him"),
        "date_of_birth": born,
        "gender": sometimes(random, 0.003, recorded, dirt.unknown_code),
        "gender_identity": practice.maybe(0.05, random.choice(("Woman", "Man", "Non-binary", "Questioning"))),
        "race": practice.maybe(
            0.8, random.choice(("white", "Black", "asian", "Native American", "declined", "mixed", "Pacific Islander"))
        ),
        "ethnicity": practice.maybe(0.7, random.choice(("hispanic", "not hispanic", "unknown"))),
        "marital_status": practice.maybe(
            0.7,
            random.choice(("single", "married", "divorced", "widowed", "separated", "domestic partner", "complicated")),
        ),
        "preferred_language": practice.maybe(0.8, random.choice(LANGUAGES)),
        "date_of_death": practice.maybe(0.7, practice.day(300, 1)) if status == "deceased" else None,
    }


def _reachable(practice: Practice) -> Row:
    random = practice.random
    city, state, zip_code, area = random.choice(PLACES)
    name = f"{random.choice(FIRST['female'])} {random.choice(LAST)}"
    return {
        "email": sometimes(
            random,
            0.02,
            f"client{random.randint(1, 10**6)}@mail.example",
            lambda _, mail: mail.replace("@", " at "),
            dirt.nothing,
        ),
        "phone_home": practice.maybe(0.4, practice.phone(area)),
        "phone_mobile": practice.maybe(0.9, practice.phone(area)),
        "phone_work": practice.maybe(0.2, practice.phone(area)),
        "preferred_contact_method": practice.maybe(0.6, random.choice(("sms", "email", "phone", "work"))),
        "address_line1": practice.maybe(0.95, practice.street()),
        "address_line2": practice.maybe(0.15, f"Apt {random.randint(1, 40)}"),
        "city": city,
        "state": sometimes(random, 0.03, state, lambda r, _: r.choice(("Texas", "vermont", "??"))),
        "zip_code": f"{zip_code}{random.randint(10, 99)}",
        "country": practice.maybe(0.5, "US"),
        "emergency_contact_name": practice.maybe(0.7, name),
        "emergency_contact_relationship": practice.maybe(
            0.6, random.choice(("spouse", "Mother", "father", "friend", "neighbour", "boss"))
        ),
        "emergency_contact_phone": practice.maybe(0.65, practice.phone(area)),
    }


def _insurance(practice: Practice, number: int) -> Row:
    random = practice.random
    if random.random() < 0.2:
        return {"responsible_party_name": practice.maybe(0.3, f"{random.choice(FIRST['male'])} {random.choice(LAST)}")}
    payer = random.choice(PAYERS)
    practice.insured[number] = payer
    relationship = random.choices(("self", None, "spouse", "child", "dependent"), (60, 15, 12, 10, 3))[0]
    dependent = relationship not in ("self", None)
    starts = practice.day(1500, 200)
    return {
        "insurance_provider": sometimes(random, 0.05, payer, dirt.spaces, dirt.shouted),
        "insurance_policy_number": f"{payer[:3].upper()}{random.randint(10**7, 10**8 - 1)}",
        "insurance_group_number": practice.maybe(0.7, f"G{random.randint(100, 999)}"),
        "insurance_plan_name": practice.maybe(0.6, f"{payer} {random.choice(('PPO', 'HMO', 'Gold'))}"),
        "insurance_subscriber_name": f"{random.choice(FIRST['male'])} {random.choice(LAST)}" if dependent else None,
        "insurance_subscriber_relationship": relationship,
        "insurance_effective_date": practice.dirty_day(starts),
        "insurance_termination_date": practice.maybe(0.15, practice.day(1600, -300)),
        "copay_amount": practice.maybe(0.8, random.choice((10, 20, 25, 30, 40.5))),
        "secondary_insurance_provider": practice.maybe(0.1, random.choice(PAYERS)),
        "secondary_insurance_policy_number": practice.maybe(0.1, f"S{random.randint(10**6, 10**7)}"),
    }


def _clinical(practice: Practice) -> Row:
    random = practice.random
    code, words = random.choice(DIAGNOSES)
    return {
        "primary_diagnosis_code": practice.maybe(
            0.8, sometimes(random, 0.04, code, lambda _, dotted: dotted.replace(".", ""), dirt.unknown_code)
        ),
        "primary_diagnosis": practice.maybe(0.75, words),
        "medical_history": practice.maybe(
            0.3, f"History of {random.choice(REASONS).lower()} since {random.randint(1990, 2020)}."
        ),
        "allergies": practice.maybe(
            0.5, random.choice(("NKDA", "none", ", ".join(random.sample(ALLERGIES, 2)), random.choice(ALLERGIES)))
        ),
        "current_medications": practice.maybe(0.4, "\n".join(random.sample(MEDICATIONS, random.randint(1, 3)))),
    }
