"""The words of what is stored already, once a tenant wants them indexed."""

from __future__ import annotations

from pymongo import UpdateOne

from fhir_server.fhir import json
from fhir_server.search.types import words
from fhir_server.store.database import Database, Held
from fhir_server.store.layout import AUDITED
from fhir_server.store.where import still

BATCH = 500


async def index_words(database: Database, tenant: str) -> None:
    """Of the current resources whose words are not indexed yet; who replaces one meanwhile indexes it."""
    for resource_type in ("", AUDITED):
        await _index_words(database, database.holding(resource_type), tenant)


async def _index_words(database: Database, held: Held, tenant: str) -> None:
    unread = {"t": tenant, "del": False, words.FIELD: {"$exists": False}}
    updates: list[UpdateOne] = []
    async for document in held.resources.find(unread, {"rt": 1, "id": 1, "v": 1, "body": 1, "file": 1}):
        resource = json.trusted(await database.bodies.body(document))
        updates.append(UpdateOne(still(document), {"$set": {words.FIELD: words.entries(resource)}}))
        if len(updates) == BATCH:
            await held.resources.bulk_write(updates, ordered=False)
            updates = []
    if updates:
        await held.resources.bulk_write(updates, ordered=False)
