"""The store that the settings name, for the server and for the commands."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from fhir_server.settings import Settings
from fhir_server.store.connection import Store, opened


def store_of(settings: Settings) -> AbstractAsyncContextManager[Store]:
    return opened(
        mongo_url=settings.mongo_url,
        data_dir=settings.data_dir.expanduser(),
        memory=settings.memory,
        database=settings.database,
        mongod=settings.mongod,
        kek=settings.kek,
        audit=settings.audited,
        anchor=settings.anchor,
    )
