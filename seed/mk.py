"""A personal health record system of any size: `write(url, rows=1000)`.  The same seed gives the same rows.

Every patient has an account, a chart, tests and relatives; every fifth record is kept by someone else. About one value
in fifty is dirty, as far as the constraints of the database let it be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from random import Random

from sqlalchemy import Table, make_url

from seed import mk_chart, mk_labs, mk_people, mk_record, mk_sharing
from seed import mk_schema as tables
from seed import mk_shared_schema as shared
from seed.database import Progress, is_strict, written
from seed.mk_record import numbered, share
from seed.practice import Practice, Row
from seed.sealing import SAMPLE_KEY

VERSION = "a1f0c2d49e37"
"""The state of the sample's schema."""
Made = Iterator[tuple[Table, Iterable[Row]]]


def write(
    url: str,
    *,
    rows: int,
    tenant: str = "family",
    seed: int = 1,
    key: str = SAMPLE_KEY,
    strict: bool = False,
    progress: Progress = lambda _, __: None,
) -> dict[str, int]:
    """Writes the database anew: `rows` patients; says how many rows each table has. `key` seals what is a secret."""
    practice = Practice(tenant, rows, Random(seed), strict=strict or is_strict(url), key=key)
    has_arrays = make_url(url).get_backend_name() == "postgresql"
    made = (*_people(practice), *_chart(practice), *_labs(practice), *_around(practice, has_arrays))
    return written(url, tables.METADATA, made, progress, strict=practice.strict)


def _people(practice: Practice) -> Made:
    yield shared.PRACTITIONERS, mk_people.practitioners(practice)
    yield shared.PHARMACIES, mk_people.pharmacies(practice)
    yield tables.USERS, mk_people.users(practice)
    yield tables.PATIENTS, numbered(practice, 1, mk_people.patient)
    yield tables.USER_PREFERENCES, numbered(practice, 1, mk_people.preference)
    yield shared.USER_TAGS, share(practice, 3, mk_people.tag)
    yield tables.EMERGENCY_CONTACTS, numbered(practice, 1, mk_people.contact)
    yield shared.INSURANCE, numbered(practice, 1, mk_people.insurance)
    yield shared.FAMILY_MEMBERS, numbered(practice, mk_record.RELATIVES, mk_people.relative)
    yield shared.FAMILY_CONDITIONS, numbered(practice, mk_record.RELATIVES, _of_relative)


def _of_relative(practice: Practice, number: int, _: int) -> Row:
    return mk_people.relatives_condition(practice, number, number)


def _chart(practice: Practice) -> Made:
    yield tables.ENCOUNTERS, numbered(practice, mk_record.ENCOUNTERS, mk_chart.encounter)
    yield tables.CONDITIONS, numbered(practice, mk_record.CONDITIONS, mk_chart.condition)
    yield tables.ALLERGIES, numbered(practice, 1, mk_chart.allergy)
    yield tables.MEDICATIONS, numbered(practice, mk_record.MEDICATIONS, mk_chart.medication)
    yield shared.CONDITION_MEDICATIONS, share(practice, 2, mk_labs.medication_of_condition)
    yield tables.IMMUNIZATIONS, numbered(practice, mk_record.VACCINATIONS, mk_chart.immunization)
    yield tables.PROCEDURES, numbered(practice, 1, mk_chart.procedure)
    yield tables.TREATMENTS, numbered(practice, 1, mk_chart.treatment)
    yield tables.VITALS, numbered(practice, mk_record.VITALS, mk_chart.vitals)


def _labs(practice: Practice) -> Made:
    yield tables.LAB_RESULTS, numbered(practice, mk_record.LABS, mk_labs.lab_result)
    yield tables.LAB_TEST_COMPONENTS, numbered(practice, mk_record.LABS * mk_record.COMPONENTS, mk_labs.component)
    yield shared.LAB_RESULT_CONDITIONS, share(practice, 2, mk_labs.lab_of_condition)
    yield tables.LAB_RESULT_FILES, share(practice, 3, mk_labs.result_file)


def _around(practice: Practice, has_arrays: bool) -> Made:
    yield shared.ENTITY_FILES, share(practice, 3, mk_sharing.entity_file)
    yield shared.PATIENT_PHOTOS, share(practice, 4, mk_sharing.photo)
    yield shared.INVITATIONS, share(practice, 5, mk_sharing.invitation)
    yield shared.PATIENT_SHARES, share(practice, 5, mk_sharing.patient_share)
    yield shared.FAMILY_HISTORY_SHARES, share(practice, 10, mk_sharing.family_share)
    yield shared.REPORT_TEMPLATES, share(practice, 10, mk_sharing.report_template)
    yield tables.ACTIVITY_LOG, mk_sharing.activities(practice)
    yield shared.REPORT_GENERATION_AUDIT, mk_sharing.reports(practice, _array if has_arrays else json.dumps)
    yield shared.BACKUP_RECORDS, mk_sharing.backups(practice)
    yield shared.ALEMBIC_VERSION, iter([{"version_num": VERSION}])


def _array(words: list[str]) -> str:
    """An array as PostgreSQL writes it."""
    return "{" + ",".join(words) + "}"
