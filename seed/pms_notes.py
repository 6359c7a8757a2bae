"""Notes of a sample practice: one for most visits, some of them plans, drafts, amendments and addenda."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import JSON, Column, Date, Index, Integer, Table, Text

from seed import dirt
from seed.dirt import sometimes
from seed.pms_schema import CHANGED, METADATA, flags, row_of_tenant, texts, times
from seed.practice import Practice, Row
from seed.sealing import sealed
from seed.words import DIAGNOSES

NOTES = Table(
    "notes",
    METADATA,
    *row_of_tenant(),
    *(Column(name, Integer) for name in ("client_id", "provider_id", "appointment_id")),
    *texts("note_type", "title"),
    Column("content", Text),
    Column("service_date", Date),
    *(Column(name, JSON) for name in ("diagnosis_codes", "treatment_goals", "interventions", "cpt_codes")),
    *flags("is_billable"),
    *texts("billing_status"),
    *flags("is_confidential", "is_signed"),
    *times("signed_at"),
    Column("signed_by", Integer),
    *flags("is_locked"),
    *times("locked_at"),
    *flags("is_amended"),
    *texts("amendment_reason"),
    *flags("requires_review"),
    Column("reviewed_by", Integer),
    *times("reviewed_at"),
    Column("parent_note_id", Integer, index=True),
    Column("version", Integer),
    *times(*CHANGED),
    Index("notes_client", "client_id"),
    Index("notes_appointment", "appointment_id"),
)
KINDS = (
    *["progress_note"] * 60,
    *["treatment_plan"] * 10,
    *["assessment", "evaluation", "progress", "intake", "initial", "consultation", "discharge_summary", "discharge"],
    *["procedure_note", "administrative", "billing", "correspondence", "psychotherapy", "Crisis note"],
)
TEXTS = (
    "Reports better sleep. Mood stable, no suicidal ideation.",
    "<p>Worked on <b>exposure</b> hierarchy; homework reviewed.</p>",
    "Anxious about work. Practised breathing. Plan: continue weekly.",
)
GOALS = ("Sleep seven hours a night", "Return to work", "Fewer than one panic attack a week")
STEPS = ("CBT weekly", "Sleep diary", "Family session each month")


def notes(practice: Practice) -> Iterator[Row]:
    """A note for most visits that took place; now and then an addendum or a new version of the last one."""
    random, number = practice.beside, 0
    for visit in practice.took_place:
        if random.random() < 0.85:
            number += 1
            follows = number - 1 if number > 1 and random.random() < 0.03 else None
            yield _note(practice, number, visit, follows)


def _note(practice: Practice, number: int, visit: tuple[int, int, int, str], follows: int | None) -> Row:
    random = practice.beside
    appointment_id, client_id, provider_id, day = visit
    is_addendum = follows is not None and random.random() < 0.5
    kind = "addendum" if is_addendum else random.choice(KINDS)
    codes = json.dumps([each[0] for each in random.sample(DIAGNOSES, random.randint(1, 2))])
    return {
        "id": number,
        "tenant_id": practice.tenant,
        "client_id": client_id,
        "provider_id": provider_id,
        "appointment_id": appointment_id,
        "note_type": sometimes(random, 0.01, kind, dirt.shouted, dirt.blank),
        "title": f"{kind.replace('_', ' ').capitalize()} of {day}",
        "content": _sealed(practice, random.choice(TEXTS)),
        "service_date": day,
        "diagnosis_codes": sometimes(random, 0.02, codes, dirt.blank, lambda _, __: '["anxiety"]'),
        **_plan(practice, kind),
        "cpt_codes": json.dumps([random.choice(("90837", "90834", "90791"))]),
        "is_billable": random.random() < 0.9,
        "billing_status": random.choice(("billed", "unbilled")),
        "is_confidential": random.random() < 0.1,
        **_signature(practice, provider_id, day),
        "parent_note_id": follows,
        "version": 2 if follows and not is_addendum else 1,
        "created_at": f"{day} 18:00:00",
        "updated_at": f"{day} 19:00:00",
        "deleted_at": f"{day} 20:00:00" if random.random() < 0.003 else None,
    }


def _sealed(practice: Practice, words: str) -> str | None:
    random = practice.beside
    written = words * 400 if random.random() < 0.005 else words
    return sometimes(random, 0.01, sealed(written, practice.key), dirt.blank, lambda _, value: value[:40])


def _plan(practice: Practice, kind: str) -> Row:
    if kind != "treatment_plan":
        return {}
    random = practice.beside
    dated = {"description": random.choice(GOALS), "target_date": "2025-12-31"}
    return {
        "treatment_goals": json.dumps([random.choice(GOALS), dated]),
        "interventions": json.dumps(random.sample(STEPS, 2)),
    }


def _signature(practice: Practice, provider_id: int, day: str) -> Row:
    """Most notes are signed and then locked; some of these are amended, some reviewed."""
    random = practice.beside
    signed, review = random.random() < 0.85, random.random() < 0.1
    amended = signed and random.random() < 0.05
    return {
        "is_signed": signed,
        "signed_at": f"{day} 19:00:00" if signed else None,
        "signed_by": provider_id if signed else None,
        "is_locked": signed,
        "locked_at": f"{day} 19:00:00" if signed else None,
        "is_amended": amended,
        "amendment_reason": "Wrong date of service" if amended else None,
        "requires_review": review,
        "reviewed_by": 1 if review and signed else None,
        "reviewed_at": f"{day} 20:00:00" if review and signed else None,
    }
