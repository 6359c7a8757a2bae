"""The row behind a quarantined state, sealed with a key of the tenant.  NIST SP 800-38D"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from fhir_server.crypto import aead

KINDS = (str, int, float, bytes, Decimal, date, datetime, time, type(None))
COMMON = frozenset(KINDS)
PURPOSE = b"mapping row snapshot"


def row_key(tenant_secret: bytes) -> bytes:
    """A key for snapshots alone, derived from the secret of the tenant.  RFC 5869 §3.3"""
    return hmac.digest(tenant_secret, PURPOSE, hashlib.sha256)


def seal(key: bytes, tenant: str, table: str, pk: str, columns: Sequence[str], row: Sequence[Any]) -> bytes:
    """The row as JSON, encrypted and bound to where it comes from."""
    plain = msgspec.json.encode(dict(zip(columns, row, strict=True)), enc_hook=str)
    return aead.seal(key, plain, _binding(tenant, table, pk))


def unseal(key: bytes, tenant: str, table: str, pk: str, sealed: bytes) -> dict[str, Any]:
    """The row again; SealBroken where the key, the place or the bytes are not the same."""
    found: dict[str, Any] = msgspec.json.decode(aead.unseal(key, sealed, _binding(tenant, table, pk)))
    return found


def _binding(tenant: str, table: str, pk: str) -> bytes:
    return msgspec.json.encode([tenant, table, pk])


def row_hash(version: str, values: Sequence[Any], related: Any) -> str:
    """Of the values that a row is mapped from: the same hash, nothing to do."""
    return hashlib.blake2b(repr((version, _plain(values), related)).encode(), digest_size=16).hexdigest()


def _plain(values: Sequence[Any]) -> tuple[Any, ...]:
    """Without what drivers wrap around values."""
    return tuple(value if value.__class__ in COMMON or isinstance(value, KINDS) else repr(value) for value in values)
