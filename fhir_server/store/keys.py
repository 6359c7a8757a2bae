"""Key documents: what each tenant signs its tokens and seals its page links with.  RFC 7518 §3.4, RFC 7638"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from fhir_server.fhir.outcome import conflict
from fhir_server.store.database import Collection
from fhir_server.store.errors import BUSY, mongo_errors, mongo_writes
from fhir_server.store.layout import Document

REMEMBERED = 5.0
"""Seconds in which a new signing key reaches every process; until then the retired one, still published, is used."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The newest active one signs, retired ones only verify. ES384 for access tokens, RS256 for identity tokens."""

    kid: str
    public: Mapping[str, Any]
    """As a JSON Web Key, for the key set that everyone may read."""
    private: str
    """PEM, PKCS #8."""
    created: datetime
    status: str

    @property
    def active(self) -> bool:
        return self.status == "active"


class TenantKeys:
    """Made when first asked for, and remembered."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._remembered: dict[str, tuple[float, Document]] = {}

    async def signing(self, tenant: str) -> SigningKey:
        """The key to sign with."""
        return (await self.verifying(tenant))[0]

    async def verifying(self, tenant: str) -> tuple[SigningKey, ...]:
        """All keys whose signatures are good, the one to sign with first."""
        document = await self._document(tenant)
        return tuple(SigningKey(**each) for each in document["signing"])

    async def cursor(self, tenant: str) -> bytes:
        """The secret of page links."""
        return bytes((await self._document(tenant))["cursor"])

    async def sealing(self, tenant: str) -> bytes:
        """What secrets of the tenant are sealed with; it outlives the rotation of keys that sign."""
        return hmac.digest(await self.cursor(tenant), b"sealed secrets", "sha256")

    async def witness(self, tenant: str) -> bytes:
        """What entries of the tenant's audit chains are authenticated with."""
        return hmac.digest(await self.cursor(tenant), b"audit chains", "sha256")

    async def identity(self, tenant: str) -> tuple[SigningKey, ...]:
        """The keys of identity tokens, the one to sign with first; made when first asked for, since that takes long."""
        return await self._made_later(tenant, "identity", _new_identity_key)

    async def attesting(self, tenant: str) -> tuple[SigningKey, ...]:
        """The keys of signatures on records, the one to sign with first.

        They sign nothing else and are never dropped: a signature has to be verified for as long as the record is kept.
        """
        return await self._made_later(tenant, "attesting", _new_signing_key)

    async def _made_later(self, tenant: str, name: str, make: Callable[[], Document]) -> tuple[SigningKey, ...]:
        document = await self._document(tenant)
        if name not in document:
            fresh = await asyncio.to_thread(make)
            with mongo_writes:
                await self._collection.update_one({"_id": tenant, name: {"$exists": False}}, {"$set": {name: [fresh]}})
            self._remembered.pop(tenant, None)
            document = await self._document(tenant)
        return tuple(SigningKey(**each) for each in document[name])

    async def rotate(self, tenant: str, *, drop: bool = False) -> SigningKey:
        """New keys to sign with; the old ones retire, or are dropped with all that they signed."""
        document = await self._document(tenant)
        new = _new_signing_key()
        retired = [] if drop else [{**each, "status": "retired"} for each in document["signing"]]
        change: Document = {"signing": [new, *retired]}
        if "identity" in document:
            before = [] if drop else [{**each, "status": "retired"} for each in document["identity"]]
            change["identity"] = [await asyncio.to_thread(_new_identity_key), *before]
        if "attesting" in document:
            before = [{**each, "status": "retired"} for each in document["attesting"]]
            change["attesting"] = [_new_signing_key(), *before]
        guard = {"_id": tenant, "signing.0.kid": document["signing"][0]["kid"]}
        self._remembered.pop(tenant, None)
        with mongo_writes:
            result = await self._collection.update_one(guard, {"$set": change})
        if not result.matched_count:
            raise conflict(BUSY)
        return SigningKey(**new)

    async def erase(self, tenant: str) -> None:
        await self._collection.delete_one({"_id": tenant})
        self._remembered.pop(tenant, None)

    async def _document(self, tenant: str) -> Document:
        remembered = self._remembered.get(tenant)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        with mongo_errors:
            document = await self._collection.find_one({"_id": tenant}) or await self._made(tenant)
        self._remembered[tenant] = (monotonic() + REMEMBERED, document)
        return document

    async def _made(self, tenant: str) -> Document:
        """Whoever is first decides; the keys of the others were never used."""
        fresh = {"signing": [_new_signing_key()], "cursor": secrets.token_bytes(32)}
        await self._collection.update_one({"_id": tenant}, {"$setOnInsert": fresh}, upsert=True)
        document = await self._collection.find_one({"_id": tenant})
        assert document is not None
        return document


def _new_signing_key() -> Document:
    key = ec.generate_private_key(ec.SECP384R1())
    numbers = key.public_key().public_numbers()
    # RFC 7518 §6.2.1.2: as many octets as the curve has, 48 for P-384.
    public = {"crv": "P-384", "kty": "EC", "x": _number(numbers.x, 48), "y": _number(numbers.y, 48)}
    return _record(key, public, "ES384")


def _new_identity_key() -> Document:
    """OpenID Connect Core §15.1: RS256 is what every client can check."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = key.public_key().public_numbers()
    return _record(key, {"e": _number(numbers.e, 3), "kty": "RSA", "n": _number(numbers.n, 256)}, "RS256")


def _record(key: PrivateKeyTypes, public: Mapping[str, str], algorithm: str) -> Document:
    """The id of a key is its thumbprint. RFC 7638 §3"""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    kid = _base64url(sha256(json.dumps(public, sort_keys=True, separators=(",", ":")).encode()).digest())
    return {
        "kid": kid,
        "public": {**public, "kid": kid, "alg": algorithm, "use": "sig", "key_ops": ["verify"]},
        "private": private.decode(),
        "created": datetime.now(UTC).replace(microsecond=0),
        "status": "active",
    }


def _number(number: int, octets: int) -> str:
    return _base64url(number.to_bytes(octets, "big"))


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
