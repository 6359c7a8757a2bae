"""Patients and their observations, with ties, gaps, long periods and several names, in a real collection."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from tests.search.collection import UPDATED, Documents, document, prepare

FAMILIES = ("Smith", "Smithson", "Jones", "Müller", "smith", "O'Neill", "Smyth")
CODES = ("8867-4", "8480-6", "718-7", "29463-7")
START = datetime(2020, 1, 1, tzinfo=UTC)


def patient(chance: random.Random, number: int) -> dict[str, Any]:
    names = [
        {"family": chance.choice(FAMILIES), "given": [chance.choice("ABCDE") * 2]} for _ in range(chance.randint(0, 3))
    ]
    born = {"birthDate": f"19{chance.randint(70, 79)}-0{chance.randint(1, 9)}-11"} if chance.random() < 0.8 else {}
    return {"resourceType": "Patient", "id": f"p{number}", **({"name": names} if names else {}), **born}


def observation(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": chance.choice(("final", "amended")),
        "code": {"coding": [{"system": "http://loinc.org", "code": chance.choice(CODES)}]},
        "subject": {"reference": f"Patient/p{chance.randrange(20)}"},
        **effective(chance),
        **({"valueQuantity": {"value": chance.randrange(50), "unit": "x"}} if chance.random() < 0.7 else {}),
    }


def effective(chance: random.Random) -> dict[str, Any]:
    start = START + timedelta(hours=6 * chance.randrange(200))
    written = start.isoformat().replace("+00:00", "Z")
    end = (start + timedelta(hours=chance.choice((1, 30, 24 * 90)))).isoformat().replace("+00:00", "Z")
    return chance.choice(
        [
            {},
            {"effectiveDateTime": written},
            {"effectiveDateTime": written},
            {"effectiveDateTime": written[:10]},
            {"effectiveDateTime": written[:7]},
            {"effectivePeriod": {"start": written, "end": end}},
            {"effectivePeriod": {"start": written}},
            {"effectivePeriod": {"end": end}},
        ]
    )


def population() -> list[dict[str, Any]]:
    chance = random.Random(7)
    return [
        *(patient(chance, number) for number in range(200)),
        *(observation(chance, number) for number in range(400)),
        *({"resourceType": "Organization", "id": f"p{number}", "name": "Smith & Sons"} for number in range(10)),
    ]


@pytest.fixture(scope="module")
def people(mongo_url: str, database_name: str) -> Iterator[Documents]:
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        collection = client[database_name].resources
        stamps = (UPDATED + timedelta(minutes=number // 5) for number in range(1000))
        prepare(collection, (document(each, updated=stamp) for each, stamp in zip(population(), stamps, strict=False)))
        yield collection
