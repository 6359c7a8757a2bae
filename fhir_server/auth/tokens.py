"""Access tokens: JSON Web Tokens that this server issues and verifies locally.  RFC 9068"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol
from uuid import uuid4

from joserfc import jws

from fhir_server.access.caller import TREATMENT, Caller
from fhir_server.access.clearance import ALL, EVERYTHING, Clearance, InvalidClearance
from fhir_server.access.scopes import Scopes
from fhir_server.auth.jwt import ACCESS_TOKEN, Claims, InvalidToken, SigningKey, opened, verified
from fhir_server.auth.keyring import Keyring
from fhir_server.fhir.resource import ID
from fhir_server.store.revocations import Kind, marked

REMEMBERED_FOR = 60.0
"""Seconds for which a verified token is not verified again: checking an ES384 signature takes longer than a read."""
REMEMBERED_MOST = 10_000


def issuer(base_url: str, tenant: str) -> str:
    """Where no public address is set, `base_url` is empty and a token is good on whichever port its store is served."""
    return f"{base_url}/auth/{tenant}"


def audience(base_url: str, tenant: str) -> str:
    """The FHIR base of a tenant, the only place where its tokens are good. RFC 8707 §2"""
    return f"{base_url}/fhir/{tenant}"


def issue(
    key: SigningKey,
    *,
    base_url: str,
    tenant: str,
    subject: str,
    client_id: str,
    scope: str,
    patient: str | None = None,
    person: Mapping[str, Any] | None = None,
    ttl: int = 3600,
    now: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> str:
    """A signed token for the scopes as written; an `InvalidScope` where one of them cannot be granted.

    `person` has the claims about whoever is signed in: `roles`, `patients` (ids that they may act for), `fhirUser`.
    """
    Scopes.parse(scope)
    issued_at = int(time.time() if now is None else now)
    claims = {
        "iss": issuer(base_url, tenant),
        "sub": subject,
        "aud": audience(base_url, tenant),
        "exp": issued_at + ttl,
        "iat": issued_at,
        "jti": uuid4().hex,
        "client_id": client_id,
        "scope": scope,
        "tenant": tenant,
        **({"patient": patient} if patient else {}),
        **(more or {}),
        **(person or {}),
    }
    return signed(key, "at+jwt", claims)


def signed(key: SigningKey, kind: str, claims: Claims) -> str:
    header = {"typ": kind, "alg": key.alg, "kid": key.kid}
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=[str(key.alg)])


class Revoked(Protocol):
    """Tells what was revoked; see `store.revocations`."""

    async def revoked(self, marks: Iterable[str], issued: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was verified: whom it stands for, for how long that is remembered, and what could revoke it."""

    caller: Caller
    until: float
    marks: tuple[str, ...]
    issued: int


class AccessTokens:
    """The callers that tokens stand for; a token is verified once a minute, whoever shows it however often.

    Whether it has been revoked is asked every time: a look into memory.
    """

    def __init__(
        self,
        keyring: Keyring,
        base_url: str,
        clock: Callable[[], float] = time.time,
        revocations: Revoked | None = None,
    ):
        self._keyring = keyring
        self._base_url = base_url
        self._clock = clock
        self._revocations = revocations
        self._known: dict[bytes, Known] = {}

    async def caller(self, token: str) -> Caller:
        """Raises `InvalidToken`."""
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        if known is None or known.until <= self._clock():
            claims = await self._verified(token)
            known = self._remember(digest, _caller(claims), claims)
        await self._check(known.marks, known.issued)
        return known.caller

    async def claims(self, token: str) -> Claims:
        """What a token says that is good now; raises `InvalidToken`."""
        claims = await self._verified(token)
        await self._check(marks_of(claims), claims["iat"])
        return claims

    async def _check(self, marks: Iterable[str], issued: int) -> None:
        if self._revocations is not None and await self._revocations.revoked(marks, issued):
            raise InvalidToken("it has been revoked")

    async def _verified(self, token: str) -> Claims:
        """The keys are those of the tenant that the token names; only its own door accepts what they signed."""
        tenant = opened(token)[1].get("tenant")
        if not isinstance(tenant, str):
            raise InvalidToken("its claim 'tenant' is missing or not one text")
        keys = await self._keyring.verifying(tenant)
        return verified(
            token,
            ACCESS_TOKEN,
            keys,
            issuer=issuer(self._base_url, tenant),
            audience=audience(self._base_url, tenant),
            now=self._clock(),
        )

    def _remember(self, digest: bytes, caller: Caller, claims: Claims) -> Known:
        if len(self._known) >= REMEMBERED_MOST:
            del self._known[next(iter(self._known))]
        self._known.pop(digest, None)
        until = min(claims["exp"], self._clock() + REMEMBERED_FOR)
        known = self._known[digest] = Known(caller, until, marks_of(claims), claims["iat"])
        return known


MARKS: Mapping[str, Kind] = {"jti": "token", "gid": "grant", "client_id": "client", "sid": "session", "sub": "user"}
"""Claims by which a token can be revoked."""


def marks_of(claims: Claims) -> tuple[str, ...]:
    return tuple(marked(claims["tenant"], kind, claims[name]) for name, kind in MARKS.items() if name in claims)


def _caller(claims: Claims) -> Caller:
    patient, fhir_user = claims.get("patient"), claims.get("fhirUser")
    if patient is not None and not (isinstance(patient, str) and ID.match(patient)):
        raise InvalidToken("its claim 'patient' is not the id of a patient")
    if fhir_user is not None and not isinstance(fhir_user, str):
        raise InvalidToken("its claim 'fhirUser' is not one text")
    until, cleared = claims.get("until"), _texts(claims, "clearance")
    unbound = cleared is not None and EVERYTHING in cleared
    session_id = claims.get("sid")
    if session_id is not None and not isinstance(session_id, str):
        raise InvalidToken("its claim 'sid' is not one text")
    return Caller(
        tenant=claims["tenant"],
        subject=claims["sub"],
        client_id=claims["client_id"],
        scopes=Scopes.granted(claims["scope"]).resources,
        patient=patient,
        token_id=claims["jti"],
        roles=_texts(claims, "roles"),
        patients=_texts(claims, "patients") or (),
        fhir_user=fhir_user,
        purpose=_purpose(claims),
        clearance=ALL if unbound else None if cleared is None else _clearance(cleared),
        until=datetime.fromtimestamp(until, UTC) if isinstance(until, int) else None,
        unbound=unbound,
        session_id=session_id,
    )


def _purpose(claims: Claims) -> str:
    """What the data is asked for. https://hl7.org/fhir/R4/v3/PurposeOfUse/vs.html"""
    purpose = claims.get("purpose", TREATMENT)
    if not isinstance(purpose, str):
        raise InvalidToken("its claim 'purpose' is not one text")
    return purpose


def _clearance(words: Iterable[str]) -> Clearance:
    try:
        return Clearance.parse(words)
    except InvalidClearance as problem:
        raise InvalidToken("its claim 'clearance' is none") from problem


def _texts(claims: Claims, name: str) -> tuple[str, ...] | None:
    found = claims.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidToken(f"its claim '{name}' is not a list of texts")
    return tuple(found)
