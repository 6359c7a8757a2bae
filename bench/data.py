"""Deterministic patients with encounters, observations, conditions and claims, shaped like those of a real practice."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Resource = dict[str, Any]

FAMILIES = (
    "Smith",
    "Garcia",
    "Nguyen",
    "Müller",
    "Okafor",
    "Johansson",
    "Kowalski",
    "Haddad",
    "Ivanov",
    "Silva",
    "Tanaka",
    "O'Brien",
)
GIVENS = (
    "Ana",
    "James",
    "Wei",
    "Fatima",
    "Lukas",
    "Chidi",
    "Ingrid",
    "Mateo",
    "Olga",
    "Yuki",
    "Noor",
    "Erin",
    "Paul",
    "Grace",
)
VITALS = (
    ("8867-4", "Heart rate", "/min", 55, 110),
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 95, 170),
    ("8462-4", "Diastolic blood pressure", "mm[Hg]", 55, 105),
    ("29463-7", "Body weight", "kg", 45, 130),
    ("8302-2", "Body height", "cm", 145, 200),
    ("39156-5", "Body mass index", "kg/m2", 17, 42),
    ("2339-0", "Glucose", "mg/dL", 65, 220),
    ("4548-4", "Hemoglobin A1c", "%", 4, 12),
)
CONDITIONS = (
    ("38341003", "Hypertension"),
    ("44054006", "Diabetes"),
    ("195967001", "Asthma"),
    ("35489007", "Depression"),
)
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


SHARING = 10
"""So many patients in a row may have the same name, however many there are."""


def patient(chance: random.Random, number: int) -> Resource:
    family, given = chance.choice(FAMILIES), chance.choice(GIVENS)
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:bench:mrn", "value": f"MRN{number:08d}"}],
        "active": True,
        "name": [{"use": "official", "family": f"{family}{number // SHARING:05d}", "given": [given]}],
        "telecom": [{"system": "phone", "value": f"+1555{number:07d}", "use": "home"}],
        "gender": chance.choice(("female", "male")),
        "birthDate": (EPOCH - timedelta(days=chance.randrange(365, 33_000))).date().isoformat(),
        "address": [
            {
                "line": [f"{number} Main St"],
                "city": "Springfield",
                "state": "IL",
                "postalCode": f"{60000 + number % 999}",
            }
        ],
    }


def encounter(moment: datetime, subject: str) -> Resource:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [concept("http://snomed.info/sct", "308335008", "Patient encounter procedure")],
        "subject": {"reference": subject},
        "period": {"start": moment.isoformat(), "end": (moment + timedelta(minutes=20)).isoformat()},
    }


def observation(chance: random.Random, moment: datetime, subject: str, context: str) -> Resource:
    code, display, unit, low, high = chance.choice(VITALS)
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "vital-signs", "display": "Vital signs"}]}],
        "code": concept("http://loinc.org", code, display),
        "subject": {"reference": subject},
        "encounter": {"reference": context},
        "effectiveDateTime": moment.isoformat(),
        "issued": moment.isoformat(),
        "valueQuantity": {
            "value": Decimal(chance.randrange(low * 10, high * 10)) / 10,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


def condition(chance: random.Random, moment: datetime, subject: str, context: str) -> Resource:
    code, display = chance.choice(CONDITIONS)
    return {
        "resourceType": "Condition",
        "clinicalStatus": concept(CONDITION_STATUS, "active", "Active"),
        "code": concept("http://snomed.info/sct", code, display),
        "subject": {"reference": subject},
        "encounter": {"reference": context},
        "onsetDateTime": moment.isoformat(),
    }


def bundle(seed: int, encounters: int = 8, observations: int = 6) -> Resource:
    """One transaction of POST entries for one patient, with `urn:uuid` references between them."""
    chance = random.Random(seed)
    resources = dict(_records(chance, seed, encounters, observations))
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": url, "resource": each, "request": {"method": "POST", "url": each["resourceType"]}}
            for url, each in resources.items()
        ],
    }


def _records(chance: random.Random, seed: int, encounters: int, observations: int) -> Iterator[tuple[str, Resource]]:
    subject = _new_url(chance)
    yield subject, patient(chance, seed)
    for _ in range(encounters):
        moment = EPOCH + timedelta(minutes=chance.randrange(5_000_000))
        context = _new_url(chance)
        yield context, encounter(moment, subject)
        for _ in range(observations):
            yield _new_url(chance), observation(chance, moment, subject, context)
        yield _new_url(chance), condition(chance, moment, subject, context)


def _new_url(chance: random.Random) -> str:
    return f"urn:uuid:{uuid.UUID(int=chance.getrandbits(128), version=4)}"
