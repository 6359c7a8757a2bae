"""How versions get into the database: each at once, or together in a transaction.  https://hl7.org/fhir/R4/http.html#transaction

Version n is copied to the history before version n+1 takes its place under the guard `v == n`. Whoever dies in between
leaves a copy that the next writer makes again with the same key, so this is safe without a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError

from fhir_server.fhir.outcome import conflict
from fhir_server.store import asking
from fhir_server.store.database import Database, Held, Session
from fhir_server.store.errors import BUSY, REFUSED, mongo_errors, mongo_writes
from fhir_server.store.layout import SUPERSEDED, Document
from fhir_server.store.versions import Write, superseded
from fhir_server.store.where import same, unsigned

Filter = Mapping[str, Any]


class Unit(Protocol):
    """What a repository reads and writes through."""

    session: Session | None
    numbers: dict[str, int]

    async def read(self, found: Filter, wanted: Filter) -> Document | None:
        """The current document that a filter on its key finds."""
        ...

    async def store(self, write: Write) -> None: ...

    async def flush(self) -> None:
        """After this, queries see what was written."""
        ...


class Immediate:
    """Each version at once."""

    session: Session | None = None

    def __init__(self, database: Database) -> None:
        self._database = database
        self.numbers: dict[str, int] = {}

    async def read(self, found: Filter, wanted: Filter) -> Document | None:
        with mongo_errors:
            return await asking.one(self._database.of_key(found["_id"]).plain, found, wanted)

    async def store(self, write: Write) -> None:
        """A body that was moved out is removed again where the write was refused, not where its fate is unknown."""
        with mongo_writes:
            document = await self._database.bodies.moved_out(write.document)
            try:
                await self._place(document, write.previous)
            except REFUSED:
                await self._database.bodies.remove([document])
                raise

    async def _place(self, document: Document, previous: Document | None) -> None:
        resources = self._database.holding(document["rt"]).resources
        if previous is None:
            await resources.insert_one(document)
            return
        copy = superseded(previous)
        await self._database.history.update_one(same(copy), {"$setOnInsert": copy}, upsert=True)
        result = await resources.replace_one(unsigned(previous), document)
        if not result.matched_count:
            raise conflict(BUSY)

    async def flush(self) -> None:
        return None


class Buffered:
    """All versions of a transaction, kept until something is read or the work is done, then written in bulk."""

    def __init__(self, database: Database, session: Session) -> None:
        self.session: Session | None = session
        self._database = database
        self._pending: dict[str, Write] = {}
        self._known: dict[str, tuple[Filter, Document | None]] = {}
        self._moved_out: list[Document] = []
        self.created: set[tuple[str, str]] = set()
        """Types and ids of what is new in this transaction."""
        self.types: set[str] = set()
        """Types of what was written in it."""
        self.numbers: dict[str, int] = {}
        """Under which changes of consents are counted, by tenant."""

    async def read(self, found: Filter, wanted: Filter) -> Document | None:
        key = found["_id"]
        if key in self._pending:
            await self.flush()
        known = self._known.get(key)
        if known is not None and known[0] == found:
            return known[1]
        with mongo_errors:
            return await self._database.of_key(key).plain.find_one(found, wanted, session=self.session)

    async def remember(self, held: Held, found: Filter, each: Iterable[Filter]) -> None:
        """Loads many states with one query; `each` are the filters under which they will be asked for."""
        with mongo_errors:
            documents = await held.plain.find(found, SUPERSEDED, session=self.session).to_list()
        present = {document["_id"]: document for document in documents}
        self._known.update((one["_id"], (one, present.get(one["_id"]))) for one in each)

    async def store(self, write: Write) -> None:
        key = write.document["_id"]
        if key in self._pending:
            await self.flush()
        self._pending[key] = write
        self.types.add(write.version.resource_type)
        if write.previous is None:
            self.created.add((write.version.resource_type, write.version.resource_id))
        self._known.pop(key, None)

    async def flush(self) -> None:
        writes, self._pending = list(self._pending.values()), {}
        if not writes:
            return
        with mongo_errors:
            await self._database.bodies.expect([write.document for write in writes])
            pairs = [(write.previous, await self._moved(write.document)) for write in writes]
            for held, part in self._database.parted(pairs, lambda pair: str(pair[1]["rt"])):
                await self._replace(held, [(previous, document) for previous, document in part if previous is not None])
                new = [document for previous, document in part if previous is None]
                if new:
                    await held.resources.insert_many(new, session=self.session)

    async def _moved(self, document: Document) -> Document:
        """GridFS takes no part in transactions: what it holds for this one is removed if the transaction fails."""
        stored = await self._database.bodies.moved_out(document)
        if stored is not document:
            self._moved_out.append(stored)
        return stored

    async def _replace(self, held: Held, pairs: list[tuple[Document, Document]]) -> None:
        if not pairs:
            return
        copies = [superseded(previous) for previous, _ in pairs]
        kept = [UpdateOne(same(copy), {"$setOnInsert": copy}, upsert=True) for copy in copies]
        await self._database.history.bulk_write(kept, ordered=False, session=self.session)
        successors = [ReplaceOne(unsigned(previous), document) for previous, document in pairs]
        result = await held.resources.bulk_write(successors, ordered=False, session=self.session)
        if result.matched_count != len(pairs):
            raise conflict(BUSY)

    async def discard(self) -> None:
        """After an abort: nothing in the database names these bodies."""
        moved_out, self._moved_out = self._moved_out, []
        try:
            await self._database.bodies.remove(moved_out)
        except PyMongoError:
            return  # The sweep of abandoned bodies finds them.
