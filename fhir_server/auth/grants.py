"""The grants of RFC 6749 §4.1, §4.4 and §6: Authlib's flow, with what SMART adds and our store below it.

They are synchronous and run in a worker thread; `server.wait` has the event loop do what they need of the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc7636 import CodeChallenge

from fhir_server.access.scopes import InvalidScope
from fhir_server.auth import issuing
from fhir_server.auth.narrowing import within
from fhir_server.store.clients import Client, Kind
from fhir_server.store.grants import Grant

if TYPE_CHECKING:
    from fhir_server.auth.server import Server

LOG = logging.getLogger("fhir_server.auth")

METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
"""In this order a client is recognised; it has to use the one that it is registered for."""

METHODS_OF: Mapping[Kind, frozenset[str]] = {
    "key": frozenset({"private_key_jwt"}),
    "secret": frozenset({"client_secret_basic", "client_secret_post"}),
    "public": frozenset({"none"}),
}


class Registered(ClientMixin):
    """A client, as Authlib asks about one."""

    def __init__(self, client: Client, has_secret: Callable[[Client, str], bool]) -> None:
        self.client = client
        self._has_secret = has_secret

    def get_client_id(self) -> str:
        return self.client.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        return self._has_secret(self.client, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - the same at all
        return method in METHODS_OF[self.client.kind]

    def check_grant_type(self, grant_type: str) -> bool:
        return self.client.may(grant_type)


class Code:
    """An authorization code that was just taken."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.grant_id = content["grant"]
        self.code_challenge = content["challenge"]
        self.code_challenge_method = "S256"
        self._redirect_uri = content["redirect_uri"]
        self._scopes = content["scopes"]

    def get_redirect_uri(self) -> str:
        return str(self._redirect_uri)

    def get_scope(self) -> str:
        return " ".join(self._scopes)


class Turn:
    """A refresh token that is good, or was a moment ago."""

    def __init__(self, grant: Grant, number: int) -> None:
        self.grant = grant
        self.number = number

    def check_client(self, client: Registered) -> bool:
        return self.grant.client == client.get_client_id()

    def get_scope(self) -> str:
        return " ".join(self.grant.scopes)


class ByCode(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    server: Server

    def query_authorization_code(self, code: str, client: Registered) -> Code | None:
        """Taken before anything else is looked at: whatever is wrong with the rest, it cannot be used again."""
        taken = self.server.wait(self.server.store.handles.take(self.server.tenant, "code", code))
        if taken is None:
            return None
        if taken.first and taken.content["client"] == client.get_client_id():
            return Code(taken.content)
        # RFC 6749 §4.1.2: a code in the wrong hands, or twice, takes with it what was given for it.
        LOG.warning("an authorization code was used twice or by another client; its grant has been ended")
        self.request.noted = {"kind": "replay", "about": taken.content["grant"], "outcome": "8"}
        self.server.wait(self.server.issuing.spoil(self.server.tenant, taken.content["grant"]))
        return None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It has been taken."""

    def authenticate_user(self, authorization_code: Code) -> Grant | None:
        return self.server.living(authorization_code.grant_id)

    def generate_token(self, user: Grant, **_: Any) -> dict[str, Any]:
        return self.server.wait(self.server.issuing.first(user))


class Challenge(CodeChallenge):
    """RFC 7636 §4.6. Every code has a challenge, so that nothing can be left out at either end."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_verifier(self, grant: ByCode, result: Any) -> None:
        try:
            super().validate_code_verifier(grant, result)
        except InvalidRequestError as problem:
            raise InvalidGrantError(problem.description) from problem


class ByRefreshToken(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    server: Server

    def authenticate_refresh_token(self, refresh_token: str) -> Turn | None:
        found = self.server.grant_of(refresh_token)
        if found is None:
            return None
        grant_id, number = found
        grant = self.server.living(grant_id)
        if grant is None:
            return None
        if number == grant.turn or issuing.repeated(grant, number):
            return Turn(grant, number)
        # RFC 9700 §4.14.2: two have it, and nobody knows which of them is the application.
        LOG.warning("a refresh token was used again after its turn; its grant has been ended")
        self.request.noted = {"kind": "replay", "about": grant_id, "outcome": "8"}
        self.server.wait(self.server.issuing.end(self.server.tenant, grant_id))
        return None

    def _validate_token_scope(self, token: Turn) -> None:
        """RFC 6749 §6: no scope that was not granted; a narrower one may be asked for."""
        asked = (self.request.payload.scope or "").split()
        if _narrowed(asked, token.get_scope()) != tuple(dict.fromkeys(asked)):
            raise InvalidScopeError()

    def authenticate_user(self, refresh_token: Turn) -> Grant:
        return refresh_token.grant

    def issue_token(self, user: Grant, refresh_token: Turn) -> dict[str, Any]:
        scopes = (self.request.payload.scope or "").split() or user.scopes
        response = self.server.wait(self.server.issuing.next(user, refresh_token.number, scopes))
        if response is None:
            raise InvalidGrantError()
        return response

    def revoke_old_credential(self, refresh_token: Turn) -> None:
        """Its turn is over."""


class ByItself(grants.ClientCredentialsGrant):
    """https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html"""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS[:1]
    server: Server

    def validate_requested_scope(self) -> None:
        """All that it asks for is what it is registered for, and about no user: it is not narrowed behind its back."""
        asked = (self.request.payload.scope or "").split()
        allowed = self.request.client.client.scopes
        if not asked or _narrowed(asked, allowed) != tuple(dict.fromkeys(asked)):
            raise InvalidScopeError("The client is not registered for all of these scopes.")
        if not all(each.startswith("system/") for each in asked):
            raise InvalidScopeError("A client that acts for nobody can ask for system/ scopes only.")

    def generate_token(self, scope: str, **_: Any) -> dict[str, Any]:
        client = self.request.client.client
        return self.server.wait(self.server.issuing.for_client(client, scope.split()))


def _narrowed(asked: Sequence[str], allowed: str) -> tuple[str, ...]:
    try:
        return within(asked, allowed)
    except InvalidScope as problem:
        raise InvalidScopeError() from problem


GRANTS: tuple[tuple[type[Any], list[Any]], ...] = (
    (ByCode, [Challenge(required=True)]),
    (ByRefreshToken, []),
    (ByItself, []),
)
