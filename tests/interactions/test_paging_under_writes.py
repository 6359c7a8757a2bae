"""Whoever turns pages while others write sees each match that stays as it is exactly once, in every order.

`FHIR_TEST_WALKS` says how many searches are walked through, `FHIR_TEST_SEED` from where they are drawn.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from tests.interactions.conftest import ask
from tests.interactions.test_paging import walk

WALKS = int(os.environ.get("FHIR_TEST_WALKS", "80"))
SEED = int(os.environ.get("FHIR_TEST_SEED", "9"))
PEOPLE = 60
EACH = 3
WRITERS = 3
FAMILIES = ("Smith", "Smithson", "Jones", "Müller")
CODES = ("8867-4", "718-7")
LOST_RACE = (409, 412)
THEIRS = "w"
"""The patient of all observations that come and go: no condition on other patients is touched by them."""

pytestmark = pytest.mark.slow

Resource = dict[str, Any]


def patient(chance: random.Random, name: str) -> Resource:
    names = [
        {"family": chance.choice(FAMILIES), "given": [chance.choice("ABC") * 2]} for _ in range(chance.randint(0, 2))
    ]
    born = {"birthDate": f"19{chance.randint(70, 74)}"} if chance.random() < 0.8 else {}
    return {"resourceType": "Patient", "id": name, "gender": chance.choice(("male", "female")), "name": names} | born


def observation(chance: random.Random, name: str, subject: str) -> Resource:
    dated = (
        {"effectiveDateTime": f"2024-0{chance.randint(1, 3)}-1{chance.randint(0, 3)}"} if chance.random() < 0.8 else {}
    )
    return {
        "resourceType": "Observation",
        "id": name,
        "status": chance.choice(("final", "amended")),
        "code": {"coding": [{"system": "http://loinc.org", "code": chance.choice(CODES)}]},
        "subject": {"reference": f"Patient/{subject}"},
        "valueQuantity": {"value": chance.randrange(5), "unit": "x"},
    } | dated


def settled(chance: random.Random) -> list[Resource]:
    """What nobody touches."""
    people = [patient(chance, f"p{number}") for number in range(PEOPLE)]
    return [
        {name: value for name, value in each.items() if value != []}
        for each in (
            *people,
            *(observation(chance, f"o{n}", f"p{chance.randrange(PEOPLE)}") for n in range(PEOPLE * EACH)),
        )
    ]


SEARCHES = [
    "Patient?",
    "Patient?name=smi",
    "Patient?family=s,j",
    "Patient?family:exact=Smith",
    "Patient?gender=male",
    "Patient?birthdate=ge1972",
    "Patient?birthdate:missing=true",
    "Patient?_has:Observation:patient:code=718-7",
    "Patient?name:contains=mit&gender:not=male",
    "Observation?",
    "Observation?code=718-7",
    "Observation?code=718-7,8867-4&status=final",
    "Observation?date=ge2024-02",
    "Observation?date=lt2024-02-12&code=8867-4",
    "Observation?date=ne2024-01",
    "Observation?value-quantity=gt2",
    "Observation?patient.name=smith",
    "Observation?subject:Patient.gender=female&status=final",
    "?_type=Patient,Observation",
    "?_lastUpdated=ge2020-01-01&_type=Patient,Observation",
]
SORTS = {
    "Patient": (
        "",
        "_id",
        "-_id",
        "_lastUpdated",
        "-_lastUpdated",
        "birthdate",
        "-birthdate",
        "family",
        "-gender,given",
    ),
    "Observation": ("", "_id", "_lastUpdated", "date", "-date", "-value-quantity", "status,-date", "code,_id"),
    "": ("", "_id", "-_lastUpdated"),
}


class Writer:
    """Creates, changes and deletes resources of its own, one after the other."""

    def __init__(self, ctx: Context, number: int) -> None:
        self.ctx, self.number = ctx, number
        self.chance = random.Random(number)
        self.written = 0

    async def run(self) -> None:
        while True:
            await self.write()
            self.written += 1

    async def write(self) -> None:
        """A small set of ids, so that most of them exist, and are changed and deleted in turn."""
        name = f"w{self.number}-{self.chance.randrange(12)}"
        kind = self.chance.choice(("Patient", "Observation"))
        if self.chance.random() < 0.4:
            with suppress(FhirError):
                await ask(self.ctx, f"DELETE {kind}/{name}")
            return
        made = patient(self.chance, name) if kind == "Patient" else observation(self.chance, name, THEIRS)
        try:
            await ask(self.ctx, f"PUT {kind}/{name}", {each: value for each, value in made.items() if value != []})
        except FhirError as problem:
            if problem.status not in LOST_RACE:
                raise


@asynccontextmanager
async def writing(ctx: Context) -> AsyncIterator[list[Writer]]:
    writers = [Writer(ctx, number) for number in range(WRITERS)]
    tasks = [asyncio.create_task(each.run()) for each in writers]
    try:
        yield writers
    finally:
        for each in tasks:
            assert not each.done(), each
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def drawn(chance: random.Random) -> str:
    search = chance.choice(SEARCHES)
    sort = chance.choice(SORTS[search.partition("?")[0]])
    return f"{search}&_count={chance.randint(1, 40)}" + (f"&_sort={sort}" if sort else "")


def untouched(ids: list[str]) -> Counter[str]:
    return Counter(each for each in ids if not each.startswith("w"))


async def test_each_match_is_seen_once(ctx: Context, counted: Callable[[str, int], None]) -> None:
    chance = random.Random(SEED)
    await ctx.repo.put_many([*settled(chance), {"resourceType": "Patient", "id": THEIRS}])
    searches = [drawn(chance) for _ in range(WALKS)]
    expected = [untouched(await walk(ctx, f"{each.partition('&_count')[0]}&_count=1000")) for each in searches]
    assert all(set(each.values()) <= {1} for each in expected)
    async with writing(ctx) as writers:
        for search, matches in zip(searches, expected, strict=True):
            assert untouched(await walk(ctx, search)) == matches, search
    assert any(expected)
    counted("searches paged through while others wrote, each match seen once", WALKS)
    counted("matches seen while others wrote", sum(each.total() for each in expected))
    counted("writes meanwhile", sum(each.written for each in writers))
