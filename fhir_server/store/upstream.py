"""The OpenID Connect provider whose people may sign in to a tenant; its secret is sealed with a key of the tenant.

https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from fhir_server.crypto.aead import seal, unseal
from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import Document
from fhir_server.store.users import moment


@dataclass(frozen=True, slots=True)
class Upstream:
    """What the operator agreed with the provider; the rest it publishes itself."""

    tenant: str
    issuer: str
    client_id: str
    title: str
    """What people call it."""
    secret: str | None = field(default=None, repr=False)
    """None where we sign with a key of the tenant. OpenID Connect Core §9"""
    scopes: tuple[str, ...] = ("openid",)
    match: str | None = None
    """The claim that is the name of the user at the first sign-in; None where the operator links each account."""
    trusted: bool = False
    """Whether the provider's word counts for a second factor."""
    classes: tuple[str, ...] = ()
    """Values of `acr` that are asked for, and count as a second factor where the provider is trusted with it."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What this provider wants to be told besides, such as `aud` by a SMART server."""
    changed: datetime = field(default_factory=moment)


class Upstreams:
    """One for each tenant of a store that has one."""

    def __init__(self, collection: Collection, keys: TenantKeys) -> None:
        self._collection = collection
        self._keys = keys

    async def get(self, tenant: str) -> Upstream | None:
        with mongo_errors:
            document = await self._collection.find_one({"_id": _key(tenant)})
        return await self._opened(document) if document else None

    async def put(self, upstream: Upstream) -> Upstream:
        """In the place of what was there."""
        key, sealed = await self._keys.sealing(upstream.tenant), None
        if upstream.secret is not None:
            sealed = seal(key, upstream.secret.encode(), _bound(upstream.tenant, upstream.issuer))
        document = _document(replace(upstream, secret=None), sealed)
        with mongo_writes:
            await self._collection.replace_one({"_id": document["_id"]}, document, upsert=True)
        return upstream

    async def remove(self, tenant: str) -> bool:
        with mongo_writes:
            result = await self._collection.delete_one({"_id": _key(tenant)})
        return bool(result.deleted_count)

    async def _opened(self, document: Document) -> Upstream:
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in document.items()}
        del given["_id"]
        sealed, tenant = given.pop("secret"), given["tenant"]
        if sealed is None:
            return Upstream(**given)
        key = await self._keys.sealing(tenant)
        return Upstream(**given, secret=unseal(key, sealed, _bound(tenant, given["issuer"])).decode())


def _key(tenant: str) -> str:
    return f"{tenant}|provider"


def _bound(tenant: str, issuer: str) -> bytes:
    """A sealed secret that is moved elsewhere opens nothing there."""
    return f"{tenant}|{issuer}|provider secret".encode()


def _document(upstream: Upstream, sealed: bytes | None) -> Document:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(upstream).items()}
    return {"_id": _key(upstream.tenant), **fields, "secret": sealed}
