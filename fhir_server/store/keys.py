"""Key documents: what each tenant signs its tokens and seals its page links with.  RFC 7518 §3.4, RFC 7638"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from time import monotonic
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from fhir_server.crypto import base64url, envelope
from fhir_server.crypto.envelope import Place
from fhir_server.crypto.secret import Key
from fhir_server.fhir.outcome import conflict
from fhir_server.store.database import Collection
from fhir_server.store.errors import BUSY, mongo_errors, mongo_writes
from fhir_server.store.layout import Document
from fhir_server.store.sealing import Sealed
from fhir_server.store.vault import Vault

SECRETS = "secrets"
"""The kind of key that seals them."""
_LISTS = frozenset({"signing", "identity", "attesting"})

REMEMBERED = 5.0
"""Seconds in which a new signing key reaches every process; until then the retired one, still published, is used."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The newest active one signs, retired ones only verify. ES384 for access tokens, RS256 for identity tokens."""

    kid: str
    public: Mapping[str, Any]
    """As a JSON Web Key, for the key set that everyone may read."""
    private: str = field(repr=False)
    """PEM, PKCS #8."""
    created: datetime
    status: str

    @property
    def active(self) -> bool:
        return self.status == "active"


class TenantKeys:
    """Made when first asked for, and remembered. What is secret of them is sealed where there is a key that wraps."""

    def __init__(self, collection: Collection, vault: Vault) -> None:
        self._collection = collection
        self._vault = vault
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
        return _derived(await self.cursor(tenant), b"sealed secrets")

    async def witness(self, tenant: str) -> bytes:
        """What entries of the tenant's audit chains are authenticated with."""
        return _derived(await self.cursor(tenant), b"audit chains")

    async def identity(self, tenant: str) -> tuple[SigningKey, ...]:
        """The keys of identity tokens, the one to sign with first; made when first asked for, since that takes long."""
        return await self._made_later(tenant, "identity", _new_identity_key)

    async def attesting(self, tenant: str) -> tuple[SigningKey, ...]:
        """The keys of signatures on records and on checkpoints of the journal, the one to sign with first.

        They sign nothing else and are never dropped: a signature has to be verified for as long as the record is kept.
        """
        return await self._made_later(tenant, "attesting", _new_signing_key)

    async def _made_later(self, tenant: str, name: str, make: Callable[[], Document]) -> tuple[SigningKey, ...]:
        document = await self._document(tenant)
        if name not in document:
            fresh = await asyncio.to_thread(make)
            kept = await self._sealed(tenant, {name: [fresh]})
            with mongo_writes:
                await self._collection.update_one({"_id": tenant, name: {"$exists": False}}, {"$set": kept})
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
        kept = await self._sealed(tenant, change)
        self._remembered.pop(tenant, None)
        with mongo_writes:
            result = await self._collection.update_one(guard, {"$set": kept})
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
            kept = await self._collection.find_one({"_id": tenant}) or await self._made(tenant)
        document = await self._opened(tenant, kept)
        self._remembered[tenant] = (monotonic() + REMEMBERED, document)
        return document

    async def _made(self, tenant: str) -> Document:
        """Whoever is first decides; the keys of the others were never used."""
        fresh = await self._sealed(tenant, {"signing": [_new_signing_key()], "cursor": secrets.token_bytes(32)})
        await self._collection.update_one({"_id": tenant}, {"$setOnInsert": fresh}, upsert=True)
        document = await self._collection.find_one({"_id": tenant})
        assert document is not None
        return document

    async def _sealed(self, tenant: str, document: Document) -> Document:
        """Each secret under its own name; as it is where there is no key that wraps."""
        if self._vault.kek is None:
            return document
        key = await self._vault.purpose_key(tenant, SECRETS)
        found: Document = {
            name: [_closed(key, tenant, each) for each in document[name]] for name in _LISTS & document.keys()
        }
        if "cursor" in document:
            found["cursor"] = {"sealed": envelope.seal(key, document["cursor"], Place(tenant, SECRETS, "cursor"))}
        return found

    async def _opened(self, tenant: str, kept: Document) -> Document:
        """What an earlier start without a key has stored readable is sealed now."""
        if isinstance(kept["cursor"], bytes):
            return await self._converted(tenant, kept) if self._vault.kek else kept
        seals = Sealed(self._vault, tenant)
        cursor = await seals.opened(SECRETS, "cursor", kept["cursor"]["sealed"])
        found: Document = {**kept, "cursor": cursor}
        for name in _LISTS & kept.keys():
            found[name] = [
                {**each, "private": (await seals.opened(SECRETS, each["kid"], each["private"])).decode()}
                for each in kept[name]
            ]
        return found

    async def _converted(self, tenant: str, plain: Document) -> Document:
        """Unless it has just been changed; then that is done next time."""
        same = {name: {"$exists": name in plain} for name in _LISTS} | {"signing.0.kid": plain["signing"][0]["kid"]}
        with mongo_writes:
            await self._collection.update_one({"_id": tenant, **same}, {"$set": await self._sealed(tenant, plain)})
        return plain


def _closed(key: Key, tenant: str, record: Document) -> Document:
    private = envelope.seal(key, record["private"].encode(), Place(tenant, SECRETS, record["kid"]))
    return {**record, "private": private}


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
    kid = base64url.encoded(sha256(json.dumps(public, sort_keys=True, separators=(",", ":")).encode()).digest())
    return {
        "kid": kid,
        "public": {**public, "kid": kid, "alg": algorithm, "use": "sig", "key_ops": ["verify"]},
        "private": private.decode(),
        "created": datetime.now(UTC).replace(microsecond=0),
        "status": "active",
    }


def _number(number: int, octets: int) -> str:
    return base64url.encoded(number.to_bytes(octets, "big"))


@lru_cache(maxsize=4096)
def _derived(secret: bytes, purpose: bytes) -> bytes:
    """A key for one purpose; kept, as one is needed at every request."""
    return hmac.digest(secret, purpose, "sha256")
