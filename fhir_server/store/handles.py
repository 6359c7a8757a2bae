"""What is known by an unguessable word for a while: requests for authorization, codes, launches.  RFC 6749 §10.10

Only the digest of a word is stored, so that whoever reads the database can use none of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from pymongo.errors import DuplicateKeyError

from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document

Kind = Literal["request", "code", "launch", "upstream", "step-up", "signing"]

KEPT = timedelta(hours=1)
"""How long a word is remembered after its time, so that its use by a second one is noticed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """`first` says whether nobody has taken it before."""

    content: Mapping[str, Any]
    first: bool


class Handles:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def new(self, tenant: str, kind: Kind, content: Mapping[str, Any], lifetime: timedelta) -> str:
        """The word, of 256 random bits."""
        word = secrets.token_urlsafe(32)
        until = datetime.now(UTC) + lifetime
        about = {"_id": _key(tenant, kind, word), "until": until, "expires": until + KEPT, "taken": False}
        with mongo_writes:
            await self._collection.insert_one({**about, "content": dict(content)})
        return word

    async def keep(self, tenant: str, kind: Kind, word: str, content: Mapping[str, Any], lifetime: timedelta) -> None:
        """What a known word stands for, from now on for so long again."""
        until = datetime.now(UTC) + lifetime
        change = {"until": until, "expires": until + KEPT, "taken": False, "content": dict(content)}
        with mongo_writes:
            await self._collection.update_one({"_id": _key(tenant, kind, word)}, {"$set": change}, upsert=True)

    async def read(self, tenant: str, kind: Kind, word: str) -> Mapping[str, Any] | None:
        """What it stands for, if its time is not over and nobody has taken it."""
        with mongo_errors:
            document = await self._collection.find_one(_unused(tenant, kind, word))
        return document["content"] if document else None

    async def take(self, tenant: str, kind: Kind, word: str) -> Taken | None:
        """Of all who take one, in whichever process, one is the first."""
        with mongo_writes:
            document = await self._collection.find_one_and_update(
                _unused(tenant, kind, word), {"$set": {"taken": True}}
            )
        if document is not None:
            return Taken(document["content"], first=True)
        with mongo_errors:
            document = await self._collection.find_one({"_id": _key(tenant, kind, word), "taken": True})
        return Taken(document["content"], first=False) if document else None

    async def once(self, tenant: str, client_id: str, token_id: str, until: datetime) -> bool:
        """Whether this client shows an assertion of this id for the first time. RFC 7523 §3 (7)"""
        document = {"_id": _key(tenant, "assertion", f"{client_id}|{token_id}"), "expires": until}
        with mongo_writes:
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                return False
        return True


def _key(tenant: str, kind: str, word: str) -> str:
    return f"{tenant}|{kind}|{sha256(word.encode('utf-8', 'surrogateescape')).hexdigest()}"


def _unused(tenant: str, kind: Kind, word: str) -> Document:
    return {"_id": _key(tenant, kind, word), "until": {"$gt": datetime.now(UTC)}, "taken": False}
