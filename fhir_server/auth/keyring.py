"""The keys of each tenant, in the form that signatures are made and checked with.  RFC 7517"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey, RSAKey

from fhir_server.auth.jwt import SigningKey
from fhir_server.store.keys import TenantKeys
from fhir_server.store.tenants import Tenants

ALGORITHM = "ES384"


class Keyring:
    """A name that is no tenant's has no keys, and none are made for it."""

    def __init__(self, tenants: Tenants, keys: TenantKeys):
        self._tenants = tenants
        self._keys = keys
        self._read: dict[str, ECKey] = {}

    async def verifying(self, tenant: str) -> Mapping[str, SigningKey]:
        """Public keys of access tokens by `kid`."""
        if await self._tenants.get(tenant) is None:
            return {}
        return {key.kid: self._public(key.public) for key in await self._keys.verifying(tenant)}

    async def published(self, tenant: str) -> list[dict[str, Any]]:
        """Public keys as JSON Web Keys: of access tokens and of identity tokens."""
        if await self._tenants.get(tenant) is None:
            return []
        return [dict(key.public) for key in (*await self._keys.verifying(tenant), *await self._keys.identity(tenant))]

    async def attesting(self, tenant: str) -> list[dict[str, Any]]:
        """Public keys of signatures on records, the retired ones too."""
        if await self._tenants.get(tenant) is None:
            return []
        return [dict(key.public) for key in await self._keys.attesting(tenant)]

    async def signing(self, tenant: str) -> SigningKey:
        """The private key that new tokens are signed with; for a tenant that exists."""
        key = await self._keys.signing(tenant)
        return ECKey.import_key(key.private, {"kid": key.kid, "alg": ALGORITHM, "use": "sig"})

    async def identity(self, tenant: str) -> SigningKey:
        """The private key that new identity tokens are signed with. OpenID Connect Core §2"""
        key = (await self._keys.identity(tenant))[0]
        return RSAKey.import_key(key.private, {"kid": key.kid, "alg": "RS256", "use": "sig"})

    async def secret(self, tenant: str) -> bytes:
        """What refresh tokens are made with; like the page links, they are good here only."""
        return hmac.digest(await self._keys.cursor(tenant), b"refresh tokens", "sha256")

    def _public(self, key: Mapping[str, Any]) -> ECKey:
        """Reading a key costs as much as using it."""
        if key["kid"] not in self._read:
            self._read[key["kid"]] = ECKey.import_key(dict(key))
        return self._read[key["kid"]]
