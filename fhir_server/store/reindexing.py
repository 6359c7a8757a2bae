"""Index entries written anew, for resources that were stored by a release that wrote fewer of them."""

from __future__ import annotations

from collections.abc import Callable

from pymongo import UpdateOne

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource
from fhir_server.search.index import index
from fhir_server.search.types import words
from fhir_server.store.database import Collection, Database
from fhir_server.store.layout import Document, Filter
from fhir_server.store.where import still

BATCH = 500

Made = Callable[[Resource], Document]


async def reindex(database: Database, concerned: Filter) -> None:
    """Of current and superseded versions alike; one that is replaced meanwhile is indexed by whoever replaces it."""
    for collection in (database.resources, database.history):
        await _reindexed(database, collection, {**concerned, "del": False}, _entries)


async def index_words(database: Database, tenant: str) -> None:
    """Of the current resources of a tenant whose words are not indexed yet."""
    unread = {"t": tenant, "del": False, words.FIELD: {"$exists": False}}
    await _reindexed(database, database.resources, unread, _words)


async def _reindexed(database: Database, collection: Collection, concerned: Filter, made: Made) -> None:
    updates: list[UpdateOne] = []
    async for document in collection.find(concerned, {"v": 1, "body": 1, "file": 1}):
        resource = json.trusted(await database.bodies.body(document))
        updates.append(UpdateOne(still(document), {"$set": made(resource)}))
        if len(updates) == BATCH:
            await collection.bulk_write(updates, ordered=False)
            updates = []
    if updates:
        await collection.bulk_write(updates, ordered=False)


def _entries(resource: Resource) -> Document:
    return index(resource).as_document()


def _words(resource: Resource) -> Document:
    return {words.FIELD: words.entries(resource)}
