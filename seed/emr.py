"""An EMR of any size: `write(url, rows=1000)`.  The same seed gives the same rows.

Three clinics share the database. Patients have charts and visits; visits that were signed are locked, with a hash of
what was signed. About one value in fifty is dirty, and one locked row in five hundred was changed in secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from sqlalchemy import Table

from seed import emr_chart, emr_people, emr_schema, emr_system, emr_visits
from seed.database import Progress, is_strict, written
from seed.practice import Practice, Row
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
    """Writes the database anew: `rows` patients; says how many rows each table has. `key` seals encrypted columns."""
    practice = Practice(tenant, rows, Random(seed), strict=strict or is_strict(url), key=key, seed=seed)
    return written(url, emr_schema.METADATA, _tables(practice), progress, strict=practice.strict)


def _tables(practice: Practice) -> Iterator[tuple[Table, Iterable[Row]]]:
    schema, patients = emr_schema, range(1, practice.clients + 1)
    yield schema.CLINICS, emr_people.clinics(practice)
    yield schema.USERS, emr_people.users(practice)
    yield schema.PATIENTS, (emr_people.patient(practice, number) for number in patients)
    yield schema.ALLERGIES, emr_chart.allergies(practice)
    yield schema.MEDICATIONS, emr_chart.medications(practice)
    yield schema.PROBLEMS, emr_chart.problems(practice)
    yield schema.ENCOUNTERS, (emr_visits.encounter(practice, number) for number in emr_visits.visits(practice))
    yield schema.ENCOUNTER_DIAGNOSES, emr_visits.diagnoses(practice)
    yield schema.ENCOUNTER_PROCEDURES, emr_visits.procedures(practice)
    yield schema.VITALS, emr_visits.vitals(practice)
    yield schema.ELECTRONIC_SIGNATURES, emr_visits.signatures(practice)
    yield schema.IMAGE_SERIES, emr_system.series(practice)
    yield schema.CLINICAL_IMAGES, emr_system.images(practice)
    yield schema.LAYOUT_TEMPLATES, emr_system.templates(practice)
    yield schema.LAYOUT_SECTIONS, emr_system.sections(practice)
    yield schema.ICD10_CODES, emr_system.diagnosis_codes(practice)
    yield schema.CPT_CODES, emr_system.procedure_codes(practice)
    yield schema.AUDIT_LOGS, emr_system.logs(practice)
