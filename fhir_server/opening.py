"""The store that the settings name, for the server and for the commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fhir_server.settings import Settings
from fhir_server.store.connection import Store, opened


@asynccontextmanager
async def store_of(settings: Settings) -> AsyncIterator[Store]:
    async with opened(
        mongo_url=settings.mongo_url,
        data_dir=settings.data_dir.expanduser(),
        memory=settings.memory,
        database=settings.database,
        mongod=settings.mongod,
        kek=settings.kek,
    ) as found:
        # Without a mongod the store falls back to memory, whatever the settings say.
        found.journal.off = not settings.audited or found.common.in_memory
        yield found
