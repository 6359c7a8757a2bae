"""The store in memory, for trying things out: mongomock's collections with the asynchronous face of the driver's.

The same code runs on them. What they lack: durability, speed, and isolation between transactions that run at the same
time; one that fails is undone.
"""

# ruff: noqa: ARG002 - the face is the driver's, whatever of it has a meaning here
from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import mongomock
import mongomock.filtering
from pymongo import IndexModel, ReplaceOne, UpdateOne
from pymongo.results import BulkWriteResult

from fhir_server.search.types import position
from fhir_server.store.bodies import InDocument
from fhir_server.store.database import Client, Database, collections
from fhir_server.store.layout import Document

FASTER = ("hint", "maxTimeMS", "max_time_ms", "batch_size")
"""Options that make a query faster or safer on a real database and mean nothing here."""


mongomock.filtering._filterer_inst._operator_map["$geoWithin"] = position.within
"""The one operator of ours that mongomock does not have."""


class MemorySession:
    """Undoes what was written in it when it is aborted."""

    def __init__(self) -> None:
        self._undo: list[tuple[MemoryCollection, Any, Document | None]] = []

    async def __aenter__(self) -> MemorySession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def start_transaction(self, *options: Any) -> None:
        self._undo = []

    async def commit_transaction(self) -> None:
        self._undo = []

    async def abort_transaction(self) -> None:
        for collection, name, before in reversed(self._undo):
            collection.restore(name, before)
        self._undo = []

    def note(self, collection: MemoryCollection, name: Any, before: Document | None) -> None:
        self._undo.append((collection, name, before))


class MemoryCursor:
    """A query that runs when its documents are asked for."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def sort(self, keys: str | Sequence[tuple[str, int]]) -> MemoryCursor:
        if keys:
            self._cursor = self._cursor.sort(keys if isinstance(keys, str) else list(keys))
        return self

    def limit(self, count: int) -> MemoryCursor:
        self._cursor = self._cursor.limit(count)
        return self

    def hint(self, index: str) -> MemoryCursor:
        return self

    def batch_size(self, size: int) -> MemoryCursor:
        return self

    async def to_list(self, length: int | None = None) -> list[Document]:
        return list(self._cursor)[:length]

    async def __aiter__(self) -> AsyncIterator[Document]:
        for document in self._cursor:
            yield document


class MemoryCollection:
    """What this room uses of a collection."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    @property
    def write_concern(self) -> Any:
        return self._collection.write_concern

    def find(self, *given: Any, session: Any = None, **options: Any) -> MemoryCursor:
        return MemoryCursor(self._collection.find(*given, **_meaningful(options)))

    async def find_one(self, *given: Any, session: Any = None, **options: Any) -> Document | None:
        return cast(Document | None, self._collection.find_one(*given, **_meaningful(options)))

    async def count_documents(self, found: Mapping[str, Any], session: Any = None, **options: Any) -> int:
        return int(self._collection.count_documents(found, **_meaningful(options)))

    async def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], session: Any = None, **options: Any
    ) -> MemoryCursor:
        return MemoryCursor(self._collection.aggregate(list(pipeline), **_meaningful(options)))

    async def insert_one(self, document: Document, session: MemorySession | None = None) -> Any:
        self._note(session, document)
        return self._collection.insert_one(document)

    async def insert_many(
        self, documents: Sequence[Document], session: MemorySession | None = None, **options: Any
    ) -> Any:
        for document in documents:
            self._note(session, document)
        return self._collection.insert_many(documents, **options)

    async def replace_one(
        self, found: Document, document: Document, session: MemorySession | None = None, **options: Any
    ) -> Any:
        self._note(session, found)
        return self._collection.replace_one(found, document, **options)

    async def update_one(
        self, found: Document, change: Document, session: MemorySession | None = None, **options: Any
    ) -> Any:
        self._note(session, found)
        return self._collection.update_one(found, change, **options)

    async def find_one_and_update(self, found: Document, change: Document, **options: Any) -> Document | None:
        return cast(Document | None, self._collection.find_one_and_update(found, change, **options))

    async def update_many(self, found: Document, change: Document) -> Any:
        return self._collection.update_many(found, change)

    async def delete_one(self, found: Document) -> Any:
        return self._collection.delete_one(found)

    async def delete_many(self, found: Document) -> Any:
        return self._collection.delete_many(found)

    async def create_indexes(self, indexes: Iterable[IndexModel]) -> None:
        """Everything is scanned anyway."""

    async def bulk_write(
        self,
        operations: Iterable[ReplaceOne[Document] | UpdateOne],
        session: MemorySession | None = None,
        **options: Any,
    ) -> BulkWriteResult:
        matched = 0
        for each in operations:
            write = self.replace_one if isinstance(each, ReplaceOne) else self.update_one
            result = await write(each._filter, each._doc, session=session, upsert=bool(each._upsert))  # type: ignore[arg-type]
            matched += result.matched_count
        return BulkWriteResult({"nMatched": matched}, acknowledged=True)

    def restore(self, name: Any, before: Document | None) -> None:
        self._collection.delete_one({"_id": name})
        if before is not None:
            self._collection.insert_one(before)

    def _note(self, session: MemorySession | None, found: Document) -> None:
        if session is not None:
            session.note(self, found["_id"], self._collection.find_one({"_id": found["_id"]}))


class MemoryDatabase:
    def __init__(self, database: Any) -> None:
        self._database = database

    def __getitem__(self, name: str) -> MemoryCollection:
        return MemoryCollection(self._database[name])

    async def command(self, name: str) -> Document:
        """`ping` and the like: it is there."""
        return {"ok": 1.0}


class MemoryClient:
    """What the store uses of a client."""

    def __init__(self) -> None:
        self._client: Any = mongomock.MongoClient(tz_aware=True)

    @property
    def admin(self) -> MemoryDatabase:
        return self.get_database("admin")

    def get_database(self, name: str, **options: Any) -> MemoryDatabase:
        return MemoryDatabase(self._client[name])

    async def drop_database(self, name: str) -> None:
        self._client.drop_database(name)


def client() -> Client:
    """One that keeps everything in this process."""
    return cast(Client, MemoryClient())


def database(client: Client, name: str) -> Database:
    found = collections(client.get_database(name))
    return Database(
        name, **found, bodies=InDocument(), guarded_by=_unguarded, session=cast(Any, MemorySession), in_memory=True
    )


async def _unguarded(_: Mapping[str, Any]) -> None:
    """One process learns at once what it does itself."""


def _meaningful(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in FASTER}
