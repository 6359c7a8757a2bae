"""history: every version of a resource, a type or a tenant, newest first.  https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fhir_server.access.right import Right
from fhir_server.fhir.definitions import resource_types
from fhir_server.search.page import Position
from fhir_server.store.database import Collection, Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document, Keys
from fhir_server.store.versions import updated
from fhir_server.store.where import Where, between, both


@dataclass(frozen=True, slots=True)
class Request:
    """Which versions: of one resource, of a type, or of the tenant; at or after `since`; before a position."""

    resource_type: str | None
    resource_id: str | None
    since: datetime | None
    before: Position | None
    count: int

    @property
    def types(self) -> tuple[str, ...]:
        return (self.resource_type,) if self.resource_type else ()

    @property
    def ties(self) -> int:
        """How many more to read: as many types as may have a version of the same id at the same time.

        The index orders by time and id; the type, which makes the order total, is sorted here.
        """
        return 1 if self.resource_type else len(resource_types())


@dataclass(frozen=True, slots=True)
class Scan:
    """Where to read, and along which index."""

    collection: Collection
    found: Document
    index: str | None = None
    order: Keys = field(default_factory=list)


NEWEST: Keys = [("lu", -1), ("id", -1)]
BY_NUMBER: Keys = [("v", -1)]


@dataclass(frozen=True, slots=True)
class History:
    """Reads the versions that one caller may see."""

    database: Database
    where: Where
    session: Session | None = None

    async def documents(self, request: Request) -> list[Document]:
        """Up to `count` + 1 documents of visible versions, newest first."""
        found: list[Document] = []
        reached = request.before
        while True:
            batch = await self._batch(request, reached)
            room = request.count + 1 - len(found)
            found += (await self._visible(request, batch))[:room]
            if len(found) > request.count or len(batch) < request.count + 1:
                return found
            reached = position(batch[-1])

    async def _batch(self, request: Request, reached: Position | None) -> list[Document]:
        """The next versions in time, from the current ones and the superseded ones together.

        Current ones are read first: one that is replaced meanwhile is then found twice, never not at all.
        """
        with mongo_errors:
            documents = [each for scan in self._scans(request, reached) for each in await self._read(scan, request)]
        distinct = {(document["rt"], document["id"], document["v"]): document for document in reversed(documents)}
        return sorted(distinct.values(), key=_place, reverse=True)[: request.count + 1]

    def _scans(self, request: Request, reached: Position | None) -> tuple[Scan, Scan]:
        """The index on time is read backwards; versions of one resource are found by its key and its number."""
        held = self.database.of_types(request.types)
        times = between(request.since, reached.values if reached else None)
        found = self.where.versions(request.types, Right.READ, request.resource_id, times)
        if request.resource_type and request.resource_id:
            current = self.where.instance(request.resource_type, request.resource_id, Right.READ)
            return Scan(held.plain, both(current, times)), Scan(self.database.history, found, "instance", BY_NUMBER)
        return Scan(held.plain, found, "lu", NEWEST), Scan(self.database.history, found, "lu", NEWEST)

    async def _read(self, scan: Scan, request: Request) -> list[Document]:
        limit = request.count + request.ties
        wanted = {**self.where.shown, "_id": 1}
        cursor = scan.collection.find(scan.found, wanted, session=self.session, limit=limit, batch_size=limit)
        return await (cursor.sort(scan.order).hint(scan.index) if scan.index else cursor).to_list()

    async def _visible(self, request: Request, batch: Sequence[Document]) -> list[Document]:
        """A version is shown where the current one may be seen too.

        The copy that a writer made before it failed to replace the current version is not past, and not shown.
        """
        keys = {(document["rt"], document["id"]) for document in batch}
        if not keys:
            return []
        found = self.where.instances(keys, Right.READ)
        plain = self.database.of_types(request.types).plain
        with mongo_errors:
            current = await plain.find(found, {"v": 1, "rt": 1, "id": 1}, session=self.session).to_list()
        newest = {(document["rt"], document["id"]): (document["v"], document["_id"]) for document in current}
        return [document for document in batch if _belongs(document, newest.get((document["rt"], document["id"])))]


def _belongs(document: Document, newest: tuple[int, str] | None) -> bool:
    """Either the current document itself or one whose version is older than it."""
    return newest is not None and (document["_id"] == newest[1] or document["v"] < newest[0])


def position(document: Document) -> Position:
    """Where a page that ends with this version goes on."""
    return Position(_place(document))


def _place(document: Document) -> tuple[datetime, str, str]:
    """A version's place in time; two versions of one resource never share a time."""
    return updated(document), document["id"], document["rt"]
