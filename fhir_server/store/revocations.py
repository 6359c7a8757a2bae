"""What was revoked before its time: tokens, grants, clients, sessions, users.  RFC 7009

Every process knows all of it within a second: before it answers for a token it has looked no longer ago than
`FRESH`, so that there is nothing that could fall behind unnoticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Literal

from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document

Kind = Literal["token", "grant", "client", "session", "user"]

FRESH = 0.5
"""Seconds."""
OVERLAP = timedelta(seconds=60)
"""So far back each look begins, since one that was stamped earlier may become visible later."""
KEPT: Mapping[Kind, timedelta] = {
    "token": timedelta(days=367),
    "grant": timedelta(days=1),
    "session": timedelta(days=1),
    "client": timedelta(days=367),
    "user": timedelta(days=367),
}
"""Longer than anything lives that it is about: tokens of a grant an hour, what an operator mints a year at most."""


class Revocations:
    """A token is revoked if one of its marks was revoked when it was issued, or later.

    Tokens tell when they were issued in whole seconds: what is given in the second of a revocation is revoked with it.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._known: dict[str, float] = {}
        self._expires: dict[str, datetime] = {}
        self._latest: datetime | None = None
        self._fresh_until = 0.0
        self._looking = asyncio.Lock()

    async def revoke(self, tenant: str, kind: Kind, name: str, until: datetime | None = None) -> None:
        """`until` is when the last token that this is about has expired."""
        mark = marked(tenant, kind, name)
        expires = until or datetime.now(UTC) + KEPT[kind]
        with mongo_writes:
            await self._collection.update_one(
                {"_id": mark}, {"$currentDate": {"at": True}, "$set": {"expires": expires}}, upsert=True
            )
        self._fresh_until = 0.0

    async def revoked(self, marks: Iterable[str], issued: float) -> bool:
        """Whether one of them has been revoked since; a look into memory, twice a second into the database."""
        if self._fresh_until < monotonic():
            await self._look()
        known = self._known
        return bool(known) and any(mark in known and known[mark] >= issued for mark in marks)

    async def at(self, mark: str) -> float | None:
        """When it was revoked last, as the database says now."""
        with mongo_errors:
            document = await self._collection.find_one({"_id": mark})
        return document["at"].timestamp() if document else None

    async def _look(self) -> None:
        async with self._looking:
            moment = monotonic()
            if self._fresh_until >= moment:
                return
            since: Document = {"at": {"$gte": self._latest - OVERLAP}} if self._latest else {}
            with mongo_errors:
                found = await self._collection.find(since).to_list()
            self._note(found)
            self._fresh_until = moment + FRESH

    def _note(self, found: list[Document]) -> None:
        for document in found:
            self._known[document["_id"]] = document["at"].timestamp()
            self._expires[document["_id"]] = document["expires"]
        if found:
            latest = max(document["at"] for document in found)
            self._latest = max(latest, self._latest or latest)
            self._forget(datetime.now(UTC))

    def _forget(self, now: datetime) -> None:
        for mark in [mark for mark, expires in self._expires.items() if expires < now]:
            del self._known[mark], self._expires[mark]


def marked(tenant: str, kind: Kind, name: str) -> str:
    return f"{tenant}|{kind}|{name}"
