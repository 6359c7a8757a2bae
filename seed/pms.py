"""A practice management system of any size: `write(url, rows=1000)`.  The same seed gives the same rows.

Clients have appointments, appointments that took place have charges, charges of the insured have claims and payments.
About one value in fifty is dirty, so that every rule of the mapping meets the data it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from sqlalchemy import Table

from seed.database import Progress, is_strict, written
from seed.pms_clients import client
from seed.pms_ledger import ledger, numbered
from seed.pms_providers import npi, provider
from seed.pms_schema import APPOINTMENTS, CLIENTS, LEDGER, LOCATIONS, METADATA, PRACTICE_PROFILES, PROVIDERS, USERS
from seed.pms_system import ENCRYPTION_KEYS, KEY_ROTATION_POLICIES, keys, policies
from seed.pms_visits import appointment
from seed.practice import TODAY, Practice, Row
from seed.sealing import SAMPLE_KEY
from seed.words import FIRST, LAST, PLACES


def write(
    url: str,
    *,
    rows: int,
    tenant: str = "practice",
    seed: int = 1,
    key: str = SAMPLE_KEY,
    progress: Progress = lambda _, __: None,
) -> dict[str, int]:
    """Writes the database anew: `rows` clients; says how many rows each table has. `key` seals encrypted columns."""
    practice = Practice(tenant, rows, Random(seed), strict=is_strict(url), key=key)
    return written(url, METADATA, _tables(practice), progress)


def _tables(practice: Practice) -> Iterator[tuple[Table, Iterable[Row]]]:
    yield PRACTICE_PROFILES, _profiles(practice)
    yield LOCATIONS, _locations(practice)
    yield PROVIDERS, (provider(practice, number) for number in range(1, practice.providers + 1))
    yield USERS, _users(practice)
    yield CLIENTS, (client(practice, number) for number in range(1, practice.clients + 1))
    yield APPOINTMENTS, (appointment(practice, number) for number in range(1, 2 * practice.clients + 1))
    yield LEDGER, numbered(practice, ledger(practice))
    yield ENCRYPTION_KEYS, keys(practice)
    yield KEY_ROTATION_POLICIES, policies(practice)


def _profiles(practice: Practice) -> Iterator[Row]:
    city, state, zip_code, area = PLACES[0]
    yield {
        "id": 1,
        "tenant_id": practice.tenant,
        "practice_name": f"{practice.tenant.title()} Behavioral Health",
        "npi": npi(1),
        "phone": practice.phone(area),
        "address_line1": practice.street(),
        "city": city,
        "state": state,
        "zip_code": f"{zip_code}01",
        "timezone": "UTC",
        "currency": "USD",
        "is_active": True,
        "created_at": "2015-01-05 09:00:00",
        "updated_at": "2024-01-05 09:00:00",
    }


def _locations(practice: Practice) -> Iterator[Row]:
    for number, (city, state, zip_code, area) in enumerate(PLACES[:3], 1):
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "practice_profile_id": 1,
            "name": f"{city} office",
            "code": f"LOC{number}",
            "phone": practice.phone(area),
            "address_line1": practice.street(),
            "city": city,
            "state": state,
            "zip_code": f"{zip_code}02",
            "is_active": True,
            "is_primary": number == 1,
            "created_at": "2015-01-05 09:00:00",
            "updated_at": "2024-01-05 09:00:00",
        }


def _users(practice: Practice) -> Iterator[Row]:
    for number in range(1, practice.providers + 3):
        is_provider = number <= practice.providers
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "username": f"user{number}",
            "email": f"user{number}@{practice.tenant}.example",
            "first_name": practice.random.choice(FIRST["female"]),
            "last_name": practice.random.choice(LAST),
            "role": "provider" if is_provider else practice.random.choice(("admin", "biller", "scheduler")),
            "provider_id": number if is_provider else None,
            "is_active": True,
            "created_at": "2016-01-05 09:00:00",
            "updated_at": "2024-01-05 09:00:00",
        }


__all__ = ["SAMPLE_KEY", "TODAY", "write"]
