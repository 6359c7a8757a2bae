"""Steps that bring a database to the layout of this release; each may run twice, but only one process runs them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pymongo import IndexModel, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from fhir_server.search import apart
from fhir_server.store import hidden
from fhir_server.store.database import Collection, Database
from fhir_server.store.errors import StoreError
from fhir_server.store.idempotency import KEPT
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import (
    ACCOUNT_INDEXES,
    AUDIT_INDEXES,
    AUDITED,
    CHAIN_INDEXES,
    CONCEPT_INDEXES,
    CONSENT_INDEXES,
    DEFINITION_INDEXES,
    FEATURE_INDEXES,
    GRANT_INDEXES,
    HISTORY_INDEXES,
    HOLD_INDEXES,
    JOB_INDEXES,
    KEY_INDEXES,
    MAPPING_INDEXES,
    PARTIAL,
    RESOURCE_INDEXES,
    REVOCATION_INDEXES,
    SHARE_INDEXES,
    USER_INDEXES,
    WRITER_INDEXES,
    Document,
    Indexes,
)

LEASES = {"lock": timedelta(minutes=10), "guard": timedelta(seconds=30)}
"""By lock: after this a process that died while it held it is no longer waited for."""


MOVED = 1000
"""AuditEvents that are moved or changed at a time."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The number is the order and the key of what was done; it never changes its meaning."""

    number: int
    title: str
    run: Callable[[Database], Awaitable[None]]


async def _create_indexes(database: Database) -> None:
    """Does nothing where an index of that name and those keys is there already."""
    await _indexed(database.resources, RESOURCE_INDEXES)
    await _indexed(database.history, HISTORY_INDEXES)
    await _indexed(database.mappings, MAPPING_INDEXES)


async def _indexed(collection: Collection, indexes: Indexes, *, unique: bool = False) -> None:
    limits = {name: {"partialFilterExpression": PARTIAL[name]} if name in PARTIAL else {} for name in indexes}
    await collection.create_indexes(
        [IndexModel(list(keys), name=name, unique=unique, **limits[name]) for name, keys in indexes.items()]
    )


async def _forget_answers(database: Database) -> None:
    """https://www.mongodb.com/docs/manual/core/index-ttl/ A transaction cannot create the collection it writes to."""
    await database.idempotency.create_indexes(
        [IndexModel([("at", 1)], name="at", expireAfterSeconds=KEPT.days * 86_400)]
    )


async def _index_features(database: Database) -> None:
    await _indexed(database.features, FEATURE_INDEXES)


async def _index_concepts(database: Database) -> None:
    await _indexed(database.concepts, CONCEPT_INDEXES)


async def _index_definitions(database: Database) -> None:
    await _indexed(database.definitions, DEFINITION_INDEXES)


async def _find_jobs(database: Database) -> None:
    """Those that wait by their state; those that are over go when they expire."""
    await _indexed(database.jobs, JOB_INDEXES)
    for collection in (database.jobs, database.deferred):
        await collection.create_indexes([IndexModel([("expires", 1)], name="expires", expireAfterSeconds=0)])


async def _index_places(database: Database) -> None:
    await _indexed(database.resources, {"geo": RESOURCE_INDEXES["geo"]})


async def _index_words(database: Database) -> None:
    await _indexed(database.resources, {"txt": RESOURCE_INDEXES["txt"]})


async def _index_contained(database: Database) -> None:
    await _indexed(database.resources, {"con": RESOURCE_INDEXES["con"]})


async def _index_origins(database: Database) -> None:
    await _indexed(database.mappings, {"resource": MAPPING_INDEXES["resource"]})


async def _forget_grants(database: Database) -> None:
    """What is over goes by itself; clients stay until they are removed."""
    await _indexed(database.grants, GRANT_INDEXES)
    await _indexed(database.revocations, REVOCATION_INDEXES)
    for collection in (database.handles, database.grants, database.revocations):
        await collection.create_indexes([IndexModel([("expires", 1)], name="expires", expireAfterSeconds=0)])


async def _index_shares(database: Database) -> None:
    await _indexed(database.features, SHARE_INDEXES)


async def _index_people(database: Database) -> None:
    """Sessions and counts of failures go when they expire."""
    await _indexed(database.users, USER_INDEXES)
    await _indexed(database.sessions, USER_INDEXES)
    for collection in (database.sessions, database.attempts):
        await collection.create_indexes([IndexModel([("expires", 1)], name="expires", expireAfterSeconds=0)])


async def _index_accounts(database: Database) -> None:
    await _indexed(database.users, ACCOUNT_INDEXES, unique=True)


async def _set_apart(database: Database) -> None:
    """AuditEvents of earlier releases move; one that was moved before this was interrupted is found moved already."""
    await _indexed(database.audit, AUDIT_INDEXES)
    await _indexed(database.audit_chain, CHAIN_INDEXES)
    await _indexed(database.audit_writers, WRITER_INDEXES)
    async for documents in _batches(database.resources.find({"rt": AUDITED})):
        await _moved(database, documents)


async def _batches(found: AsyncIterable[Document]) -> AsyncIterator[list[Document]]:
    batch: list[Document] = []
    async for document in found:
        batch.append(document)
        if len(batch) == MOVED:
            yield batch
            batch = []
    if batch:
        yield batch


async def _moved(database: Database, documents: list[Document]) -> None:
    put = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
    await database.audit.bulk_write(put, ordered=False)
    await database.resources.delete_many({"_id": {"$in": [each["_id"] for each in documents]}})


async def _index_holds(database: Database) -> None:
    """Certificates are listed by tenant and time."""
    await _indexed(database.features, HOLD_INDEXES)
    await database.certificates.create_indexes([IndexModel([("t", 1), ("at", 1)], name="at")])


async def _hide(database: Database) -> None:
    """Labels and consents that were stored before anything was decided by them."""
    await _indexed(database.consents, CONSENT_INDEXES)
    await hidden.labelled(database)
    await hidden.forbidden(database)


async def _index_keys(database: Database) -> None:
    await _indexed(database.resources, {"k": RESOURCE_INDEXES["k"]})
    await _indexed(database.history, {"k": HISTORY_INDEXES["k"]})
    await _indexed(database.encryption_keys, KEY_INDEXES)


async def _index_telling(database: Database) -> None:
    """Before the indexes that it takes the place of go, every event has its entries."""
    await _indexed(database.audit, AUDIT_INDEXES)
    found = {apart.FIELD: {"$exists": False}, "del": False}
    async for documents in _batches(database.audit.find(found, {"tok": 1, "str": 1})):
        telling = [(each["_id"], apart.entries(each["tok"], each["str"])) for each in documents]
        changes = [UpdateOne({"_id": name}, {"$set": {apart.FIELD: entries}}) for name, entries in telling]
        await database.audit.bulk_write(changes, ordered=False)
    if not database.in_memory:
        for name in (await database.audit.index_information()).keys() - {"_id_", *AUDIT_INDEXES}:
            await database.audit.drop_index(name)


MIGRATIONS = (
    Migration(1, "indexes of resources, history and mapping states", _create_indexes),
    Migration(2, "answers to requests with an idempotency key expire", _forget_answers),
    Migration(3, "records of features are found by kind", _index_features),
    Migration(4, "indexes of the concepts of loaded code systems", _index_concepts),
    Migration(5, "indexes of the definitions of packages", _index_definitions),
    Migration(6, "jobs are found by their state, and expire with what was asked", _find_jobs),
    Migration(7, "locations are found by their position", _index_places),
    Migration(8, "an index of words, for tenants that want it", _index_words),
    Migration(9, "an index of what resources contain", _index_contained),
    Migration(10, "the row of a legacy database that a resource comes from is found", _index_origins),
    Migration(11, "requests for authorization, grants and revocations expire", _forget_grants),
    Migration(12, "users and their sessions are found by the id of the user, and sessions expire", _index_people),
    Migration(13, "what is shared with a person is found", _index_shares),
    Migration(14, "a user is found by an account elsewhere, which is that of one user", _index_accounts),
    Migration(15, "AuditEvents have a collection and chains of their own", _set_apart),
    Migration(17, "legal holds are found by what they are on, certificates by time", _index_holds),
    Migration(18, "what consents forbid is found, and what security labels hide", _hide),
    Migration(21, "what a key has sealed is found by the key", _index_keys),
    Migration(22, "AuditEvents are found by those entries that tell one from others", _index_telling),
)


async def migrate(database: Database, migrations: tuple[Migration, ...] = MIGRATIONS) -> list[int]:
    """Runs what this database has not had yet; answers the numbers of what was run."""
    if not await _missing(database, migrations):
        return []
    async with locked(database.migrations, "lock"):
        missing = await _missing(database, migrations)
        for migration in missing:
            await migration.run(database)
            done = {"title": migration.title, "done": datetime.now(UTC)}
            await database.migrations.update_one({"_id": migration.number}, {"$set": done}, upsert=True)
    return [migration.number for migration in missing]


async def _missing(database: Database, migrations: tuple[Migration, ...]) -> list[Migration]:
    done = {document["_id"] async for document in database.migrations.find({}, {"_id": 1})}
    newer = {number for number in done if isinstance(number, int)} - {migration.number for migration in migrations}
    if newer and max(newer) > max(migration.number for migration in migrations):
        raise StoreError(f"The database '{database.name}' was written by a newer release (migration {max(newer)}).")
    return [migration for migration in migrations if migration.number not in done]


@asynccontextmanager
async def locked(collection: Collection, name: str) -> AsyncIterator[None]:
    """One process at a time."""
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid7()}"
    while not await _lock(collection, name, owner):  # noqa: ASYNC110 - the other one is another process
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await collection.delete_one({"_id": name, "owner": owner})


async def _lock(collection: Collection, name: str, owner: str) -> bool:
    """An upsert that finds the lock held by another tries to insert a second one, which its key forbids."""
    now = datetime.now(UTC)
    try:
        held = await collection.find_one_and_update(
            {"_id": name, "until": {"$lt": now}},
            {"$set": {"owner": owner, "until": now + LEASES[name]}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    except DuplicateKeyError:
        return False
    return held is not None
