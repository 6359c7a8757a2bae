"""`python -m bench.population URL TENANT FIRST LAST`: a range of patients with their records, by the store's bulk path.

Everything is drawn from the number of the patient: the same range is the same data, whoever writes it.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from datetime import timedelta

from bench.data import EPOCH, Resource, condition, encounter, observation, patient
from fhir_server.access.caller import Caller
from fhir_server.store.connection import opened
from fhir_server.store.repository import Repository

ENCOUNTERS = 2
OBSERVATIONS = 3
"""Of each encounter."""
EACH = 2 + ENCOUNTERS * (1 + OBSERVATIONS)
"""Resources of each patient: also one condition."""
AT_ONCE = 1_000
LANES = 2
"""Batches under way in one process: one is prepared while another one is written."""


def record(number: int) -> Iterator[Resource]:
    """Everything of one patient."""
    chance = random.Random(number)
    name = f"p{number:07d}"
    subject = f"Patient/{name}"
    yield {**patient(chance, number), "id": name}
    for visit in range(ENCOUNTERS):
        moment = EPOCH + timedelta(minutes=chance.randrange(5_000_000))
        yield {**encounter(moment, subject), "id": f"{name}-e{visit}"}
        for each in range(OBSERVATIONS):
            found = observation(chance, moment, subject, f"Encounter/{name}-e{visit}")
            yield {**found, "id": f"{name}-o{visit}-{each}"}
    yield {**condition(chance, moment, subject, f"Encounter/{name}-e{visit}"), "id": f"{name}-c"}


def batches(first: int, last: int) -> Iterator[list[Resource]]:
    step = AT_ONCE // EACH
    for start in range(first, last, step):
        yield [each for number in range(start, min(start + step, last)) for each in record(number)]


async def write(mongo_url: str, tenant: str, first: int, last: int) -> None:
    async with opened(mongo_url=mongo_url) as store:
        known = await store.tenants.get(tenant)
        assert known is not None, f"there is no tenant {tenant}"
        repository = store.repository(known, Caller.system(tenant, "benchmark"))
        waiting = batches(first, last)
        await asyncio.gather(*(_lane(repository, waiting) for _ in range(LANES)))


async def _lane(repository: Repository, waiting: Iterator[list[Resource]]) -> None:
    for batch in waiting:
        await repository.put_many(batch)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
