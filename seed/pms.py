"""A practice management system of any size: `write(url, rows=1000)`.  The same seed gives the same rows.

Clients have appointments, those that took place have notes and charges, charges of the insured have claims and
payments.
About one value in fifty is dirty, so that every rule of the mapping meets the data it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from sqlalchemy import Table

from seed.database import Progress, is_strict, written
from seed.pms_clients import client
from seed.pms_ledger import ledger, numbered
from seed.pms_notes import NOTES, notes
from seed.pms_office import locations, profiles, users
from seed.pms_providers import provider
from seed.pms_schema import APPOINTMENTS, CLIENTS, LEDGER, LOCATIONS, METADATA, PRACTICE_PROFILES, PROVIDERS, USERS
from seed.pms_system import ENCRYPTION_KEYS, KEY_ROTATION_POLICIES, keys, policies
from seed.pms_traces import (
    ALEMBIC_VERSION,
    AUDIT_LOG,
    AUTH_TOKENS,
    FHIR_MAPPINGS,
    audit_log,
    former_mappings,
    tokens,
)
from seed.pms_visits import appointment
from seed.practice import TODAY, Practice, Row
from seed.sealing import SAMPLE_KEY


def write(
    url: str,
    *,
    rows: int,
    tenant: str = "practice",
    seed: int = 1,
    key: str = SAMPLE_KEY,
    strict: bool = False,
    progress: Progress = lambda _, __: None,
) -> dict[str, int]:
    """Writes the database anew: `rows` clients; says how many rows each table has. `key` seals encrypted columns."""
    beside = Random(f"beside {seed}")
    practice = Practice(tenant, rows, Random(seed), strict=strict or is_strict(url), key=key, beside=beside)
    return written(url, METADATA, _tables(practice), progress, strict=practice.strict)


def _tables(practice: Practice) -> Iterator[tuple[Table, Iterable[Row]]]:
    yield PRACTICE_PROFILES, profiles(practice)
    yield LOCATIONS, locations(practice)
    yield PROVIDERS, (provider(practice, number) for number in range(1, practice.providers + 1))
    yield USERS, users(practice)
    yield CLIENTS, (client(practice, number) for number in range(1, practice.clients + 1))
    yield APPOINTMENTS, (appointment(practice, number) for number in range(1, 2 * practice.clients + 1))
    yield NOTES, notes(practice)
    yield LEDGER, numbered(practice, ledger(practice))
    yield AUTH_TOKENS, tokens(practice)
    yield ENCRYPTION_KEYS, keys(practice)
    yield KEY_ROTATION_POLICIES, policies(practice)
    yield AUDIT_LOG, audit_log(practice)
    yield FHIR_MAPPINGS, former_mappings(practice)
    yield ALEMBIC_VERSION, [{"version_num": "a3f2a1b9c8d7"}]


__all__ = ["SAMPLE_KEY", "TODAY", "write"]
