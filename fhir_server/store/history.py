"""history: every version of a resource, a type or a tenant, newest first.  https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_server.access.right import Right
from fhir_server.fhir.definitions import resource_types
from fhir_server.search.page import Position
from fhir_server.store.database import Collection, Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import SHOWN, Document
from fhir_server.store.where import Where, between


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
            found += (await self._visible(batch))[:room]
            if len(found) > request.count or len(batch) < request.count + 1:
                return found
            reached = position(batch[-1])

    async def _batch(self, request: Request, reached: Position | None) -> list[Document]:
        """The next versions in time, from the current ones and the superseded ones together.

        Current ones are read first: one that is replaced meanwhile is then found twice, never not at all.
        """
        with mongo_errors:
            documents = await self._newest(self.database.plain, "lu", request, reached)
            documents += await self._newest(self.database.history, "instance", request, reached)
        distinct = {(document["rt"], document["id"], document["v"]): document for document in reversed(documents)}
        return sorted(distinct.values(), key=_place, reverse=True)[: request.count + 1]

    async def _newest(
        self, collection: Collection, own: str, request: Request, reached: Position | None
    ) -> list[Document]:
        """The index on time is read backwards; `own` is the index for the versions of one resource."""
        times = between(request.since, reached.values if reached else None)
        found = self.where.versions(request.types, Right.READ, request.resource_id, times)
        order = [("v", -1)] if request.resource_id else [("lu", -1), ("id", -1)]
        hint = own if request.resource_id else "lu"
        limit = request.count + request.ties
        cursor = collection.find(found, {**SHOWN, "_id": 1}, session=self.session, limit=limit, batch_size=limit)
        return await cursor.sort(order).hint(hint).to_list()

    async def _visible(self, batch: Sequence[Document]) -> list[Document]:
        """A version is shown where the current one may be seen too.

        The copy that a writer made before it failed to replace the current version is not past, and not shown.
        """
        keys = {(document["rt"], document["id"]) for document in batch}
        if not keys:
            return []
        found = self.where.instances(keys, Right.READ)
        with mongo_errors:
            current = await self.database.plain.find(found, {"v": 1, "rt": 1, "id": 1}, session=self.session).to_list()
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
    return document["lu"], document["id"], document["rt"]
