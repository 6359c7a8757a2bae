"""Sessions of people in browsers: each is read at every request, so that one that ends has ended in every process."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import Document
from fhir_server.store.users import User, moment

SEEN_EVERY = timedelta(seconds=20)
"""How exactly it is known when a session was last used: not every request is a write."""


@dataclass(frozen=True, slots=True)
class Session:
    tenant: str
    session_id: str
    digest: str
    """Of the secret that only the browser has."""
    user_id: str
    username: str
    methods: tuple[str, ...]
    """How the person proved to be this one. RFC 8176"""
    request: str | None
    """The authorization request that the person signed in for."""
    authenticated: datetime
    seen: datetime
    expires: datetime
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the person has chosen on the way."""


class KeptSessions:
    """The sessions of all tenants of a store."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def begin(
        self, user: User, methods: Sequence[str], lasts: timedelta, request: str | None, authenticated: datetime
    ) -> tuple[Session, str]:
        """A new session, and the secret that opens it."""
        secret, now = secrets.token_urlsafe(32), moment()
        session = Session(
            user.tenant,
            uuid7(),
            _digest(secret),
            user.user_id,
            user.username,
            tuple(methods),
            request,
            authenticated,
            now,
            now + lasts,
        )
        with mongo_writes:
            await self._collection.insert_one(_document(session))
        return session, secret

    async def get(self, tenant: str, session_id: str) -> Session | None:
        with mongo_errors:
            found = await self._collection.find_one({"_id": _key(tenant, session_id), "expires": {"$gt": moment()}})
        return _session(found) if found else None

    async def opened(self, tenant: str, session_id: str, secret: str) -> Session | None:
        """The session, for who has its secret."""
        found = await self.get(tenant, session_id)
        return found if found is not None and compare_digest(found.digest, _digest(secret)) else None

    async def touch(self, session: Session) -> None:
        now = moment()
        if now - session.seen >= SEEN_EVERY:
            await self._set(session, {"seen": now})

    async def note(self, session: Session, name: str, value: Any) -> None:
        await self._set(session, {f"notes.{name}": value})

    async def end(self, session: Session) -> None:
        with mongo_writes:
            await self._collection.delete_one({"_id": _key(session.tenant, session.session_id)})

    async def end_all(self, tenant: str, user_id: str) -> list[str]:
        """The ids of the sessions that somebody had."""
        wanted = {"tenant": tenant, "user_id": user_id}
        with mongo_writes:
            found = await self._collection.find(wanted, {"_id": 0, "session_id": 1}).to_list()
            await self._collection.delete_many(wanted)
        return [each["session_id"] for each in found]

    async def _set(self, session: Session, change: Document) -> None:
        with mongo_writes:
            await self._collection.update_one({"_id": _key(session.tenant, session.session_id)}, {"$set": change})


def _key(tenant: str, session_id: str) -> str:
    return f"{tenant}|{session_id}"


def _digest(secret: str) -> str:
    """The secret is random: nobody can make a dictionary of it."""
    return sha256(secret.encode()).hexdigest()


def _document(session: Session) -> Document:
    return {"_id": _key(session.tenant, session.session_id), **asdict(session), "methods": list(session.methods)}


def _session(document: Document) -> Session:
    given = {name: value for name, value in document.items() if name != "_id"}
    return Session(**{**given, "methods": tuple(given["methods"])})
