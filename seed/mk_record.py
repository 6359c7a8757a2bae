"""What the tables of a sample personal health record have in common: who has how many of what, tags and times."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from seed.dirt import sometimes, unknown_code
from seed.mk_words import TAGS
from seed.practice import Practice, Row

CONDITIONS, MEDICATIONS, LABS, COMPONENTS, VITALS = 2, 2, 2, 3, 3
"""How many of each a patient has: whose a row is, and which rows are someone's, can be computed."""
ENCOUNTERS, VACCINATIONS, RELATIVES = 2, 2, 2
HOUSEHOLD = 5
"""Every fifth patient is someone of whom the patient before keeps the record."""
DIRTY = 0.01


def numbered(practice: Practice, count: int, made: Callable[[Practice, int, int], Row]) -> Iterator[Row]:
    """The rows of a table with so many for each patient: `made` gets the number of the row and of its patient."""
    for number in range(1, practice.clients * count + 1):
        yield {"id": number, **made(practice, number, (number - 1) // count + 1)}


def share(practice: Practice, every: int, made: Callable[[Practice, int, int], Row]) -> Iterator[Row]:
    """The rows of a table with one for each few patients."""
    for number, patient in enumerate(range(1, practice.clients + 1, every), 1):
        yield {"id": number, **made(practice, number, patient)}


def is_dependent(patient: int) -> bool:
    return patient % HOUSEHOLD == 0


def owner(patient: int) -> int:
    """The user who keeps the record."""
    return patient - 1 if is_dependent(patient) else patient


def pick(practice: Practice, number: int, values: Sequence[Any]) -> Any:
    """Each value once in the first rows, then as often as it stands in the list."""
    distinct = list(dict.fromkeys(values))
    return distinct[number - 1] if number <= len(distinct) else practice.random.choice(values)


def coded(practice: Practice, number: int, values: Sequence[str]) -> str | None:
    """A code, now and then one that no list has."""
    return sometimes(practice.random, DIRTY, pick(practice, number, values), unknown_code)


def tags(practice: Practice) -> str:
    chosen = practice.random.sample(TAGS, practice.random.choice((0, 0, 0, 1, 2)))
    return json.dumps(chosen) if practice.random.random() > DIRTY else "{}"


def changed(practice: Practice, latest: int = 0) -> Row:
    created = practice.day(900, 400 + latest)
    return {
        "created_at": practice.moment(created, 9),
        "updated_at": practice.moment(practice.day(390 + latest, latest), 17),
    }


def seen_by(practice: Practice, share: float = 0.8) -> int | None:
    """A practitioner of the directory; now and then one who is no longer in it."""
    random = practice.random
    number = random.randint(1, practice.providers) if random.random() > DIRTY else practice.providers + 900
    return number if random.random() < share else None
