"""What was answered to a request that carries an idempotency key, kept with what the request wrote.

Whoever repeats the request because the answer was lost gets that answer, and nothing is written again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from msgspec.structs import asdict

from fhir_server.access.caller import Caller
from fhir_server.fhir.entry import EntryResponse
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import IDEMPOTENCY, Document
from fhir_server.store.seals import Seals

KEPT = timedelta(days=1)
"""MongoDB removes what is older within a minute or so; until then it is not read."""

REQUEST = "repeatable request"
"""The kind of what is sealed of a request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """`request` is a digest: another request under the same key is a mistake of the client."""

    request: str
    answer: EntryResponse


def name_of(caller: Caller, key: str) -> str:
    """Keys are a client's own, and among its users each one's: an answer is never shown to another."""
    said = repr((caller.client_id, caller.subject, caller.patient, key))
    return f"{caller.tenant}|{sha256(said.encode()).hexdigest()}"


async def find(database: Database, session: Session | None, name: str, now: datetime) -> Answered | None:
    with mongo_errors:
        document = await database.idempotency.find_one({"_id": name, "at": {"$gt": now - KEPT}}, session=session)
    if document is None:
        return None
    request = document["request"]
    if isinstance(request, bytes):  # What an earlier release has kept is text.
        request = (await database.seals.opened(REQUEST, name, request)).decode()
    return Answered(request, await opened(database.seals, IDEMPOTENCY, name, document["answer"]))


async def keep(database: Database, session: Session | None, name: str, answered: Answered, now: datetime) -> None:
    """In the transaction of the request: of two at the same time one commits, and the other finds its answer."""
    answer = await sealed(database.seals, IDEMPOTENCY, name, answered.answer)
    request = await database.seals.sealed(REQUEST, name, answered.request.encode())
    document = {"_id": name, "request": request, "answer": answer, "at": now}
    with mongo_errors:
        await database.idempotency.replace_one({"_id": name}, document, upsert=True, session=session)


async def sealed(seals: Seals, kind: str, name: str, answer: EntryResponse) -> Document:
    """An answer as it is stored; what it says of resources is in its body."""
    body = None if answer.body is None else await seals.sealed(kind, name, zlib.compress(answer.body, 1))
    return {**asdict(answer), "body": body, "headers": [list(pair) for pair in answer.headers]}


async def opened(seals: Seals, kind: str, name: str, document: Mapping[str, Any]) -> EntryResponse:
    kept = document["body"]
    body = None if kept is None else zlib.decompress(await seals.opened(kind, name, kept))
    headers = tuple((name, value) for name, value in document["headers"])
    return EntryResponse(**{**document, "body": body, "headers": headers})
