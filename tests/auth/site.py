"""The whole application with its authorization server, as an application sees it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
from fastapi import FastAPI
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from fhir_server.app import build
from fhir_server.auth.assertion import TYPE
from fhir_server.auth.provider import Provider
from fhir_server.settings import Settings
from fhir_server.store.connection import Store
from tests.auth.conftest import BASE, CALLBACK, VERIFIER, asking, client, furnished, person

KEY = ECKey.generate_key("P-384", {"kid": "e1", "alg": "ES384", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "r1", "alg": "RS384", "use": "sig"})
JWKS = {"keys": [each.as_dict(private=False) for each in (KEY, RSA)]}
SECRET = "a secret of the client"
TOKEN_URL = f"{BASE}/auth/acme/token"


def assertion(key: ECKey | RSAKey = KEY, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A good one of the client `backend`, with what a test wants otherwise; None leaves a claim out."""
    given = {
        "iss": "backend",
        "sub": "backend",
        "aud": TOKEN_URL,
        "exp": int(time.time()) + 240,
        "jti": uuid4().hex,
        **claims,
    }
    said = {name: value for name, value in given.items() if value is not None}
    head = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **(header or {})}
    return jws.serialize_compact(head, json.dumps(said).encode(), key, algorithms=[str(key.alg)])


@dataclass
class Site:
    app: FastAPI
    client: httpx.AsyncClient

    @property
    def provider(self) -> Provider:
        found: Provider = self.app.state.provider
        return found

    @property
    def store(self) -> Store:
        return self.provider.store

    async def code(
        self,
        *,
        patient: str | None = "p1",
        encounter: str | None = None,
        who: Mapping[str, Any] | None = None,
        **more: str | None,
    ) -> str:
        """A code, as a person gave it."""
        begun = await self.provider.authorizations.begin("acme", asking(**more))
        whose = person(**(who or {}))
        location = await self.provider.authorizations.approve(begun, whose, begun.scopes, patient, encounter)
        return dict(parse_qsl(urlsplit(location).query))["code"]

    async def post(
        self, place: str = "token", *, tenant: str = "acme", headers: Any = None, **form: str
    ) -> httpx.Response:
        return await self.client.post(f"/auth/{tenant}/{place}", data=form, headers=headers)

    async def redeemed(self, code: str, **more: str) -> httpx.Response:
        given = {"client_id": "app", "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **more}
        return await self.post(grant_type="authorization_code", code=code, **given)

    async def refreshed(self, token: str, **more: str) -> httpx.Response:
        return await self.post(grant_type="refresh_token", refresh_token=token, **{"client_id": "app", **more})

    async def tokens(self, **more: Any) -> dict[str, Any]:
        """What a code that asks for offline access gives."""
        scope = more.pop("scope", "openid fhirUser launch/patient offline_access patient/*.rs")
        answer = await self.redeemed(await self.code(scope=scope, **more))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def by_itself(self, shown: str | None = None, **more: str) -> httpx.Response:
        given = {"client_assertion_type": TYPE, "client_assertion": shown or assertion(), "scope": "system/*.rs"}
        return await self.post(grant_type="client_credentials", **{**given, **more})

    async def read(self, token: str, path: str = "Patient/p1", tenant: str = "acme") -> httpx.Response:
        return await self.client.get(f"/fhir/{tenant}/{path}", headers={"Authorization": f"Bearer {token}"})


async def site(mongo_url: str, database_name: str, **more: Any) -> AsyncIterator[Site]:
    app = build(Settings(mongo_url=mongo_url, database=database_name, **more))
    async with app.router.lifespan_context(app):
        if await app.state.store.tenants.get("acme") is None:
            await furnished(app.state.store)
            await _clients(app.state.store)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as asks:
            yield Site(app, asks)


async def _clients(store: Store) -> None:
    from fhir_server.auth.server import digest

    backend = {"kind": "key", "jwks": JWKS, "redirect_uris": (), "grants": ("client_credentials",)}
    await store.clients.add(client("backend", **backend, scopes="system/*.rs system/Observation.cruds"))
    await store.clients.add(client("another", **backend, scopes="system/*.rs"))
    await store.clients.add(client("secret", kind="secret", secret=digest(SECRET)))
    await store.clients.add(client("signing", kind="key", jwks=JWKS))
