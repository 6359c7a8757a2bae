"""One of several processes that create the same patients at the same time, each only if it does not exist."""

from __future__ import annotations

import asyncio
import sys

from fhir_server.access.caller import Caller
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import context
from fhir_server.store.connection import opened
from tests.interactions.conftest import BASE, KEY, ask

AGAIN = 409


async def created(ctx: Context, number: int) -> int:
    """Whether it was this request that created the patient; who lost too often asks again, as a client would."""
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:race", "value": str(number)}]}
    while True:
        try:
            answer = await ask(ctx, "POST Patient", patient, if_none_exist=f"identifier=urn:race|{number}")
        except FhirError as problem:
            if problem.status != AGAIN:
                raise
            continue
        assert answer.status in (200, 201)
        return int(answer.status == 201)


async def race(mongo_url: str, database: str, tenant: str, numbers: int, lanes: int) -> int:
    async with opened(mongo_url=mongo_url, database=database) as store:
        found = await store.tenants.get(tenant)
        assert found is not None
        ctx = context(store.repository(found, Caller.system(tenant, "race")), base=BASE, cursor_key=KEY)
        won = 0
        for number in range(numbers):
            won += sum(await asyncio.gather(*(created(ctx, number) for _ in range(lanes))))
        return won


if __name__ == "__main__":
    url, name, of, *sizes = sys.argv[1:]
    print(asyncio.run(race(url, name, of, *map(int, sizes))))
