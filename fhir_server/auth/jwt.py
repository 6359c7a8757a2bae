"""One strict verifier for every JSON Web Token: what is not expressly allowed is refused.  RFC 7519, RFC 8725

A token is refused before any key is touched unless it is compact, small, and says nothing in its header but the
algorithm, the key and the type: keys that come with the token (`jwk`, `jku`, `x5u`, `x5c`) and extensions (`crit`,
`b64`, `zip`) are never looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.crypto import base64url

SigningKey = ECKey | RSAKey

MAX_BYTES = 8192
CLOCK_SKEW = 60
"""Seconds that the clock of another issuer may be ahead of ours."""

Claims = Mapping[str, Any]


class InvalidToken(Exception):
    """A token that stands for nobody; the message is for the log and the client, and repeats nothing of the token."""

    expired = False


class ExpiredToken(InvalidToken):
    """A token that was good until its time was over."""

    expired = True


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a token for one use must look like."""

    types: frozenset[str]
    algorithms: frozenset[str] = frozenset({"ES384", "RS384"})
    """https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html: both SHALL be supported"""
    headers: frozenset[str] = frozenset({"alg", "kid", "typ"})
    texts: tuple[str, ...] = ("iss", "sub", "aud", "jti")
    lifetime: int = 300
    """Seconds from `iat` to `exp` at most."""
    times: tuple[str, ...] = ("exp", "iat")
    assumed: str | None = None
    """The type of a token that says none."""
    listed: bool = False
    """Whether the audience may be a list, of nobody but us."""


ACCESS_TOKEN = Purpose(
    types=frozenset({"at+jwt", "application/at+jwt"}),
    texts=("iss", "sub", "aud", "jti", "client_id", "scope", "tenant"),
    lifetime=366 * 86_400,
)
"""RFC 9068 §4: the resource server MUST reject any other type. An operator may mint one for a year, no longer."""

CLIENT_ASSERTION = Purpose(types=frozenset({"jwt"}), headers=frozenset({"alg", "kid", "typ", "jku"}), times=("exp",))
"""SMART asks for no `iat`; without one the lifetime is counted from now."""

ID_TOKEN = Purpose(
    types=frozenset({"jwt"}),
    algorithms=frozenset({"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512"}),
    headers=frozenset({"alg", "kid", "typ", "x5t"}),
    texts=("iss", "sub", "nonce"),
    lifetime=86_400,
    assumed="jwt",
    listed=True,
)
"""OpenID Connect Core §3.1.3.7, for those of providers elsewhere: signatures only, never `none` and never a secret.

Some give no type, some a thumbprint of their certificate, which is not looked at.
"""


def verified(
    token: str, purpose: Purpose, keys: Mapping[str, SigningKey], *, issuer: str, audience: str, now: float
) -> Claims:
    """The claims of a token that is all it should be; anything else is `InvalidToken`."""
    header, claims = opened(token)
    key = _key(header, purpose, keys)
    try:
        jws.deserialize_compact(token, key, algorithms=[header["alg"]])
    except (JoseError, ValueError) as problem:
        raise InvalidToken("the signature does not fit the key") from problem
    _check_claims(claims, purpose, issuer, audience)
    _check_times(claims, purpose, now)
    return claims


def opened(token: str) -> tuple[Claims, Claims]:
    """Header and claims, not verified yet: good for finding the keys and for nothing else."""
    if len(token) > MAX_BYTES:
        raise InvalidToken(f"it is longer than {MAX_BYTES} bytes")
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidToken("it is not a signed token in compact form")
    header, claims, _ = map(_decoded, parts)
    return _object(header, "header"), _object(claims, "payload")


def _decoded(part: str) -> bytes:
    """Nothing that a lenient decoder would skip. RFC 7515 §2"""
    try:
        return base64url.decoded(part)
    except ValueError as problem:
        raise InvalidToken("it is not base64url in its one right form") from problem


def _object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refused)
        # Half a surrogate pair can be written in JSON, and is no text.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise InvalidToken(f"its {name} is not JSON with each name once") from problem
    if not isinstance(value, dict):
        raise InvalidToken(f"its {name} is not a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 §4: duplicate names are refused, since readers differ on which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _key(header: Claims, purpose: Purpose, keys: Mapping[str, SigningKey]) -> SigningKey:
    if not purpose.headers.issuperset(header):
        raise InvalidToken("its header has members that are not allowed here")
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", purpose.assumed)
    if not isinstance(algorithm, str) or algorithm not in purpose.algorithms:
        raise InvalidToken(f"its algorithm is none of {', '.join(sorted(purpose.algorithms))}")
    if not isinstance(kind, str) or kind.lower() not in purpose.types:
        raise InvalidToken("its type is not that of a token for this use")
    key = keys.get(key_id) if isinstance(key_id, str) else None
    if key is None or key.alg != algorithm:
        raise InvalidToken("it is not signed with a key of this issuer")
    return key


def _check_claims(claims: Claims, purpose: Purpose, issuer: str, audience: str) -> None:
    for name in purpose.texts:
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise InvalidToken(f"its claim '{name}' is missing or not one text")
    if claims["iss"] != issuer:
        raise InvalidToken("another issuer made it")
    if claims.get("aud") != audience and not (purpose.listed and claims.get("aud") == [audience]):
        raise InvalidToken(f"it is meant for another server or tenant than {audience}")


def _check_times(claims: Claims, purpose: Purpose, now: float) -> None:
    """RFC 7519 §4.1.4-6; whole seconds, since an infinite or textual time would never be over."""
    for name in purpose.times:
        if type(claims.get(name)) is not int:
            raise InvalidToken(f"its claim '{name}' is missing or not a whole number")
    for name in ("iat", "nbf"):
        if type(claims.get(name, 0)) is not int:
            raise InvalidToken(f"its claim '{name}' is not a whole number")
    if max(claims.get("iat", 0), claims.get("nbf", 0)) > now + CLOCK_SKEW:
        raise InvalidToken("it is not valid yet")
    if claims["exp"] - claims.get("iat", now + CLOCK_SKEW) > purpose.lifetime:
        raise InvalidToken(f"it lives longer than {purpose.lifetime} s")
    if claims["exp"] <= now:
        raise ExpiredToken("it has expired")
