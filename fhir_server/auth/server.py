"""Authlib's authorization server on our store, one object for each request.  RFC 6749 §3.2

https://docs.authlib.org/en/latest/
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.authenticate_client import authenticate_none
from authlib.oauth2.rfc6749.errors import InvalidClientError, OAuth2Error
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from fhir_server.auth import refresh
from fhir_server.auth.assertion import TYPE, Assertions
from fhir_server.auth.grants import GRANTS, METHODS, Registered
from fhir_server.auth.issuing import Issuing
from fhir_server.auth.jwt import InvalidToken
from fhir_server.auth.refusal import OAuthError
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store
from fhir_server.store.grants import Grant

T = TypeVar("T")

LOG = logging.getLogger("fhir_server.auth")
logging.getLogger("authlib").setLevel(logging.INFO)
"""Its debugging records hold tokens."""

GRANT_TYPES = tuple(grant.GRANT_TYPE for grant, _ in GRANTS)

UNPROVEN = "The client is not registered, or has not proven in its registered way who it is."
"""The same for all that can be wrong."""

Ended = Callable[[str, str], Awaitable[bool]]
"""Whether a session of a tenant is over."""


class Wait(Protocol):
    """Has the event loop do something, and waits in this thread until it is done."""

    def __call__(self, task: Coroutine[Any, Any, T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Mapping[str, Any]


class Form(OAuth2Request):
    """A form that was posted, each parameter once."""

    def __init__(self, given: Mapping[str, str], headers: Mapping[str, str]) -> None:
        # Whether the way to us is safe is decided in front of us; Authlib would judge it by this address.
        super().__init__("POST", "https://localhost/token", headers=headers)
        self._given = dict(given)
        self.payload = BasicOAuth2Payload(self._given)
        self.noted: dict[str, str] = {}
        """What the record of the request is to say."""

    @property
    def form(self) -> dict[str, str]:
        return self._given

    @property
    def args(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the server of each request is made of."""

    store: Store
    issuing: Issuing
    assertions: Assertions
    ended: Ended


class Server(AuthorizationServer):
    """Lives in a worker thread."""

    def __init__(self, parts: Parts, tenant: str, secret: bytes, wait: Wait) -> None:
        super().__init__()
        self.store = parts.store
        self.issuing = parts.issuing
        self.tenant = tenant
        self.wait = wait
        self._parts = parts
        self._secret = secret
        for grant, extensions in GRANTS:
            self.register_grant(grant, extensions)
        self.register_client_auth_method("private_key_jwt", self._by_assertion)
        self.register_client_auth_method("none", self._openly)

    def query_client(self, client_id: str) -> Registered | None:
        client = self.wait(self.store.clients.get(self.tenant, client_id))
        return Registered(client, has_secret) if client is not None and client.active else None

    def create_oauth2_request(self, request: Form) -> Form:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Reply:  # noqa: ARG002 - ours are the same always
        return Reply(status, dict(body))

    def save_token(self, token: Any, request: Any) -> None:
        """Tokens are kept nowhere: what they say is signed."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def living(self, grant_id: str) -> Grant | None:
        """A grant that nothing has ended: neither a revocation nor, without offline access, the end of its session."""
        grant = self.wait(self.store.grants.get(self.tenant, grant_id))
        if grant is None or self.wait(self.issuing.over(grant)):
            return None
        if grant.session is not None and self.wait(self._ended(grant.session)):
            return None
        return grant

    def grant_of(self, refresh_token: str) -> tuple[str, int] | None:
        return refresh.read(self._secret, self.tenant, refresh_token)

    async def _ended(self, session: str) -> bool:
        return await self._parts.ended(self.tenant, session)

    def _by_assertion(self, _: Any, request: Form) -> Registered | None:
        """RFC 7523 §2.2"""
        form = request.form
        if form.get("client_assertion_type") != TYPE or not form.get("client_assertion"):
            return None
        try:
            client = self.wait(self._parts.assertions.client(self.tenant, form["client_assertion"]))
        except InvalidToken as problem:
            LOG.warning("a client assertion was refused: %s", problem)
            raise InvalidClientError from problem
        if form.get("client_id", client.client_id) != client.client_id:
            raise InvalidClientError
        return Registered(client, has_secret)

    def _openly(self, query_client: Any, request: Form) -> Registered | None:
        """A public client may leave out its name when it refreshes: its grant tells who it is."""
        form = request.form
        if "client_id" not in form and form.get("grant_type") == "refresh_token":
            found = self.grant_of(form.get("refresh_token", ""))
            grant = self.living(found[0]) if found else None
            return self.query_client(grant.client) if grant else None
        client: Registered | None = authenticate_none(query_client, request)
        return client


def has_secret(client: Client, secret: str) -> bool:
    """In constant time."""
    given = digest(secret).encode()
    return client.secret is not None and hmac.compare_digest(client.secret.encode(), given)


def digest(secret: str) -> str:
    """Secrets are random and long, so that a plain digest cannot be searched."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


async def answered(parts: Parts, tenant: str, form: Form) -> Mapping[str, Any]:
    """What the token endpoint answers; raises `OAuthError`."""
    if form.form.get("grant_type") not in GRANT_TYPES:
        raise OAuthError("unsupported_grant_type", f"The grant_type can be {', '.join(GRANT_TYPES)}.")
    reply: Reply = await _worked(parts, tenant, lambda server: server.create_token_response(form))
    if reply.status != 200:
        raise _told(reply.body, form)
    return reply.body


async def authenticated(parts: Parts, tenant: str, form: Form, methods: tuple[str, ...] = METHODS) -> Client:
    """The client that sent the form; raises `OAuthError`."""
    try:
        found: Registered = await _worked(parts, tenant, lambda server: server.authenticate_client(form, methods))
    except OAuth2Error as problem:
        raise _told({"error": problem.error}, form) from problem
    return found.client


async def grant_of(parts: Parts, tenant: str, token: str) -> tuple[str, int] | None:
    """The grant that a refresh token is of."""
    return refresh.read(await parts.issuing.keyring.secret(tenant), tenant, token)


async def _worked(parts: Parts, tenant: str, work: Callable[[Server], Any]) -> Any:
    loop = asyncio.get_running_loop()

    def wait(task: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(task, loop).result()

    secret = await parts.issuing.keyring.secret(tenant)
    try:
        return await asyncio.to_thread(lambda: work(Server(parts, tenant, secret, wait)))
    except ValueError as problem:
        # Authlib decodes Basic credentials without expecting that they are no text.
        raise OAuthError("invalid_request", "The request cannot be read.") from problem


def _told(body: Mapping[str, Any], form: Form) -> OAuthError:
    """RFC 6749 §5.2: 401 for a client that is not who it says it is, in the scheme that it tried."""
    if body["error"] != "invalid_client":
        return OAuthError(body["error"], body.get("error_description", ""))
    basic = form.headers.get("authorization", "").lower().startswith("basic")
    return OAuthError("invalid_client", UNPROVEN, 401, {"WWW-Authenticate": "Basic"} if basic else None)
