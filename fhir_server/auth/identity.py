"""What an identity provider says of who signed in there, once it is proven.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation, RFC 8176
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.auth.jwt import CLOCK_SKEW, ID_TOKEN, Claims, InvalidToken, SigningKey, verified

LONGEST_SUBJECT = 255
"""ASCII characters. OpenID Connect Core §2"""
MOST_METHODS = 20


@dataclass(frozen=True, slots=True)
class Expected:
    """What an identity token must say, besides being signed."""

    issuer: str
    client_id: str
    nonce: str
    earliest: int | None = None
    """The person has proven who they are at this time or later."""


@dataclass(frozen=True, slots=True)
class Identity:
    issuer: str
    subject: str
    methods: tuple[str, ...]
    context_class: str | None
    authenticated: int | None
    claims: Claims


def identity(token: str, keys: Mapping[str, SigningKey], expected: Expected, now: float) -> Identity:
    """Raises `InvalidToken`."""
    claims = verified(token, ID_TOKEN, keys, issuer=expected.issuer, audience=expected.client_id, now=now)
    if claims["nonce"] != expected.nonce:
        raise InvalidToken("its 'nonce' is that of another sign-in")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise InvalidToken("its 'azp' is another client")
    subject = claims["sub"]
    if len(subject) > LONGEST_SUBJECT or not subject.isascii() or not subject.isprintable():
        raise InvalidToken(f"its 'sub' is not {LONGEST_SUBJECT} printable ASCII characters at most")
    return Identity(
        claims["iss"], subject, _methods(claims), _text(claims, "acr"), _authenticated(claims, expected, now), claims
    )


def told(claims: Claims, name: str) -> str | None:
    """A claim that may name a user: one text; an e-mail address only where the provider has verified it."""
    value = claims.get(name)
    if name == "email" and claims.get("email_verified") is not True:
        return None
    return value if isinstance(value, str) and value.strip() else None


def _methods(claims: Claims) -> tuple[str, ...]:
    found = claims.get("amr", [])
    if not isinstance(found, list) or len(found) > MOST_METHODS or not all(isinstance(each, str) for each in found):
        raise InvalidToken("its 'amr' is not a short list of texts")
    return tuple(found)


def _text(claims: Claims, name: str) -> str | None:
    value: Any = claims.get(name)
    return value if isinstance(value, str) else None


def _authenticated(claims: Claims, expected: Expected, now: float) -> int | None:
    """OpenID Connect Core §3.1.2.1: with `max_age`, which counts from the question, the token MUST say when."""
    at = claims.get("auth_time")
    if at is not None and (type(at) is not int or at > now + CLOCK_SKEW):
        raise InvalidToken("its 'auth_time' is not a whole number, or has not come yet")
    if expected.earliest is not None and (at is None or at < expected.earliest - CLOCK_SKEW):
        raise InvalidToken("it does not show that the person has signed in lately")
    return at
