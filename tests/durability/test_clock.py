"""A clock that jumps: versions stay in their order, and nothing is written twice.

The clock of the server is injected. MongoDB's own time is that of the cluster, which never goes back:
https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/ needs it, and so do elections and backups.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from fhir_server.access.caller import Caller
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import opened

HOURS = 1_000


async def test_versions_stay_in_order_whatever_the_clock_says(mongo_url: str, database_name: str) -> None:
    chance = random.Random(7)

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(hours=chance.uniform(-HOURS, HOURS))

    async with opened(mongo_url=mongo_url, database=database_name) as store:
        tenant = await store.tenants.create("acme")
        repository = store.repository(tenant, Caller.system("acme", "test"), clock=clock)
        written: list[str] = []

        async def write(writer: int) -> None:
            for number in range(10):
                name = f"{writer}-{number}"
                with suppress(FhirError):  # another writer was faster
                    await repository.update({"resourceType": "Basic", "id": "b", "code": {"text": name}})
                    written.append(name)

        await asyncio.gather(*(write(number) for number in range(8)))
        versions = (await repository.history("Basic", "b", count=1_000)).versions
    assert sorted(each.resource()["code"]["text"] for each in versions) == sorted(written)
    assert [each.version_id for each in versions] == list(range(len(written), 0, -1))
    assert all(newer.last_updated > older.last_updated for newer, older in pairwise(versions))
