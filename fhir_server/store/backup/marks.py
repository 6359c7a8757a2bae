"""Marks in the stream of changes of a database: what came before one of them is known, and what comes after it.
https://www.mongodb.com/docs/manual/changeStreams/#resume-a-change-stream
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from fhir_server.store.backup.sources import place_name
from fhir_server.store.codec import PLAIN
from fhir_server.store.connection import Store
from fhir_server.store.layout import MIGRATIONS, Document

_WANTED = {"operationType": 1, "ns": 1, "documentKey": 1, "body": "$fullDocument.files_id"}
"""Of an event: not the document, which is read later."""


@asynccontextmanager
async def mark(store: Store, place: str) -> AsyncIterator[str]:
    """Something is written, so that there is an event."""
    migrations = (await store.place(place_name(store, place))).migrations
    name = f"backup {uuid4().hex}"
    await migrations.insert_one({"_id": name})
    try:
        yield name
    finally:
        await migrations.delete_one({"_id": name})


@asynccontextmanager
async def events(store: Store, place: str, after: str | None = None) -> AsyncIterator[Any]:
    """All changes of a database, from now on or after a token."""
    database = store.raw(place_name(store, place)).with_options(codec_options=PLAIN)
    token = {"_data": after} if after else None
    async with await database.watch([{"$project": _WANTED}], resume_after=token) as stream:
        yield stream


def is_mark(event: Document, name: str) -> bool:
    return bool(event["ns"]["coll"] == MIGRATIONS and event["documentKey"]["_id"] == name)


async def token(store: Store, place: str) -> str:
    """Of this moment."""
    async with events(store, place) as stream, mark(store, place) as name:
        async for event in stream:
            if is_mark(event, name):
                break
        return str(event["_id"]["_data"])
