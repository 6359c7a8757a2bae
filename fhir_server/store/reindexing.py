"""Index entries written anew, for resources that were stored by a release that wrote fewer of them."""

from __future__ import annotations

from pymongo import UpdateOne

from fhir_server.fhir import json
from fhir_server.search.index import index
from fhir_server.store.database import Collection, Database
from fhir_server.store.layout import Document, Filter
from fhir_server.store.where import still

BATCH = 500


async def reindex(database: Database, concerned: Filter) -> None:
    """Of current and superseded versions alike; one that is replaced meanwhile is indexed by whoever replaces it."""
    for collection in (database.resources, database.history):
        await _reindexed(database, collection, {**concerned, "del": False})


async def _reindexed(database: Database, collection: Collection, concerned: Filter) -> None:
    updates: list[UpdateOne] = []
    async for document in collection.find(concerned, {"v": 1, "body": 1, "file": 1}):
        updates.append(UpdateOne(still(document), {"$set": await _entries(database, document)}))
        if len(updates) == BATCH:
            await collection.bulk_write(updates, ordered=False)
            updates = []
    if updates:
        await collection.bulk_write(updates, ordered=False)


async def _entries(database: Database, document: Document) -> Document:
    return index(json.trusted(await database.bodies.body(document))).as_document()
