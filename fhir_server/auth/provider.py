"""The authorization server of every tenant, as its endpoints see it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from fhir_server.auth import server
from fhir_server.auth.authorization import Authorizations
from fhir_server.auth.grants import METHODS
from fhir_server.auth.jwt import Claims, InvalidToken
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.recorded import issued, note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.throttle import Throttle
from fhir_server.auth.tokens import AccessTokens
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store
from fhir_server.store.tenants import Tenant

KEPT_BY_NOBODY: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749 §5.1"""


@dataclass(frozen=True, slots=True)
class Provider:
    store: Store
    keyring: Keyring
    tokens: AccessTokens
    authorizations: Authorizations
    parts: server.Parts
    base_url: str
    throttle: Throttle = field(default_factory=Throttle)

    async def tenant(self, name: str) -> Tenant:
        """404 for one that does not exist and for one that is suspended."""
        tenant = await self.store.tenants.get(name)
        if tenant is None or not tenant.active:
            raise OAuthError("invalid_request", "There is no such tenant here.", 404)
        return tenant

    async def token(self, tenant: str, request: Request, form: Mapping[str, str]) -> Mapping[str, Any]:
        with_headers = server.Form(form, request.headers)
        key = self._key(tenant, request, form)
        if form.get("grant_type") == "refresh_token":
            note(request, kind="token-refreshed")
        try:
            body = await server.answered(self.parts, tenant, with_headers)
        except OAuthError as problem:
            self._count(key, problem)
            note(request, client=_tried(request, form), **with_headers.noted)
            raise
        note(request, **issued(body["access_token"]))
        return body

    async def client(
        self, tenant: str, request: Request, form: Mapping[str, str], methods: tuple[str, ...] = METHODS
    ) -> Client:
        key = self._key(tenant, request, form)
        try:
            return await server.authenticated(self.parts, tenant, server.Form(form, request.headers), methods)
        except OAuthError as problem:
            self._count(key, problem)
            raise

    async def bearer(self, tenant: str, request: Request) -> Claims:
        """What the access token of a request says; 401 without a good one of this tenant. RFC 6750 §3"""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise OAuthError("invalid_request", "This needs an access token.", 401, {"WWW-Authenticate": "Bearer"})
        try:
            claims = await self.tokens.claims(token.strip())
        except InvalidToken as problem:
            raise _unauthorized(f"The access token is refused: {problem}.") from problem
        if claims["tenant"] != tenant:
            raise _unauthorized("This access token is not for this tenant.")
        return claims

    def _key(self, tenant: str, request: Request, form: Mapping[str, str]) -> tuple[str, ...]:
        """Whoever guesses is slowed down by address and client, so that the client elsewhere is not."""
        address = request.client.host if request.client else ""
        tried = _tried(request, form)
        if wait := self.throttle.wait((tenant, address, tried)):
            raise OAuthError("invalid_client", "Too many failed attempts.", 429, {"Retry-After": str(wait)})
        return (tenant, address, tried) if tried else ()

    def _count(self, key: tuple[str, ...], problem: OAuthError) -> None:
        if key and problem.body["error"] == "invalid_client":
            self.throttle.failed(key)


def _tried(request: Request, form: Mapping[str, str]) -> str:
    """The client that somebody claims to be. An assertion cannot be guessed: those of a client are not slowed down."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", "")[:128]
    try:
        return b64decode(credentials).partition(b":")[0].decode("latin-1")[:128]
    except ValueError:
        return ""


def _unauthorized(description: str) -> OAuthError:
    challenge = f'Bearer error="invalid_token", error_description="{description}"'
    return OAuthError("invalid_token", description, 401, {"WWW-Authenticate": challenge})


def of(request: Request) -> Provider:
    """The one of the application that answers a request."""
    provider: Provider = request.app.state.provider
    return provider
