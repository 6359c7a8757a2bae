"""Where a page ended, and the sealed cursor that carries it to the next request.

A cursor is encrypted, so that sort values stay private, and bound to tenant, caller, scopes and query: it opens for
no one else and for no other search. It is not proof of access; the next page is searched for under the caller's
rights again.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from fhir_server.crypto.aead import SealBroken, unseal
from fhir_server.crypto.aead import seal as sealed
from fhir_server.fhir.outcome import bad_value, error

LIFETIME = timedelta(hours=24)
MAX_LENGTH = 16_384


@dataclass(frozen=True, slots=True)
class Position:
    """The sort values of the last row, the last of which tells rows with equal values apart."""

    values: tuple[Any, ...]


def seal(position: Position, binding: bytes, key: bytes, *, now: datetime | None = None) -> str:
    """The cursor of a next link, which works for 24 hours."""
    issued = int((now or datetime.now(UTC)).timestamp())
    payload = msgspec.msgpack.encode([issued, *position.values])
    return base64.urlsafe_b64encode(sealed(key, payload, binding)).decode().rstrip("=")


def open_(cursor: str, binding: bytes, key: bytes, *, now: datetime | None = None) -> Position:
    """The position in a cursor; 400 where it is not one of ours for this caller and search, or too old."""
    issued, *values = msgspec.msgpack.decode(_unsealed(cursor, binding, key))
    if (now or datetime.now(UTC)) - datetime.fromtimestamp(issued, UTC) > LIFETIME:
        raise error("expired", "The page link is older than 24 hours. Start the search again.", status=400)
    return Position(tuple(values))


def _unsealed(cursor: str, binding: bytes, key: bytes) -> bytes:
    if len(cursor) <= MAX_LENGTH:
        try:
            return unseal(key, base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True), binding)
        except (binascii.Error, SealBroken, ValueError) as broken:
            raise bad_value(_FOREIGN) from broken
    raise bad_value(_FOREIGN)


_FOREIGN = "The page link is not one that this server made for this caller and this search."
