"""Clients that prove by a signature who they are.  RFC 7523 §3

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#signature-verification
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from fhir_server.auth.client_keys import ClientKeys
from fhir_server.auth.jwt import CLIENT_ASSERTION, CLOCK_SKEW, InvalidToken, opened, verified
from fhir_server.auth.tokens import issuer
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Assertions:
    def __init__(self, store: Store, keys: ClientKeys, base_url: str) -> None:
        self._store = store
        self._keys = keys
        self._base_url = base_url

    async def client(self, tenant: str, assertion: str) -> Client:
        """Who made it; raises `InvalidToken`. Each is good once, in whichever process it is shown."""
        header, claims = opened(assertion)
        client = await self._registered(tenant, claims.get("iss"))
        # SMART: a `jku` that is not the registered address is never looked at.
        if header.get("jku", client.jwks_uri) != client.jwks_uri:
            raise InvalidToken("its 'jku' is not the address that is registered for the client")
        keys = await self._keys.of(client, header.get("kid"))
        claims = verified(
            assertion,
            CLIENT_ASSERTION,
            keys,
            issuer=client.client_id,
            audience=token_url(self._base_url, tenant),
            now=time.time(),
        )
        if claims["sub"] != client.client_id:
            raise InvalidToken("its 'sub' is not its 'iss'")
        until = datetime.fromtimestamp(claims["exp"] + CLOCK_SKEW, UTC)
        if not await self._store.handles.once(tenant, client.client_id, claims["jti"], until):
            raise InvalidToken("its 'jti' has been used before")
        return client

    async def _registered(self, tenant: str, client_id: object) -> Client:
        client = await self._store.clients.get(tenant, client_id) if isinstance(client_id, str) else None
        if client is None or not client.active or client.kind != "key":
            raise InvalidToken("no client with a key is registered by its 'iss'")
        return client


def token_url(base_url: str, tenant: str) -> str:
    return f"{issuer(base_url, tenant)}/token"
