"""The public keys of a client, registered with it or fetched from where it is registered to publish them.  RFC 7517"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.auth.fetching import Fetched, Unfetched
from fhir_server.auth.jwt import InvalidToken, SigningKey
from fhir_server.store.clients import Client

MOST = 1000
"""Key sets that are kept."""
PAUSE = 5.0
"""Seconds between two looks for a key that was not there, and after a set that could not be had."""

SHORTEST_MODULUS = 342
"""Characters of base64url that 2048 bits have. RFC 7518 §3.3"""

Read = Callable[[Mapping[str, Any]], Mapping[str, SigningKey]]
Fetch = Callable[[str], Awaitable[Fetched]]


@dataclass(frozen=True, slots=True)
class Kept:
    keys: Mapping[str, SigningKey]
    until: float
    looked: float


class PublishedKeys:
    """Key sets by their address; one is looked at again for a key that it did not have."""

    def __init__(self, fetch: Fetch, read: Read, clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._read = read
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    async def at(self, uri: str, key_id: object) -> Mapping[str, SigningKey]:
        """By `kid`; raises `InvalidToken`."""
        now = self._clock()
        kept = self._kept.get(uri)
        if kept is None or kept.until <= now or (key_id not in kept.keys and kept.looked + PAUSE <= now):
            kept = await self._looked(uri, now)
        return kept.keys

    async def _looked(self, uri: str, now: float) -> Kept:
        try:
            fetched = await self._fetch(uri)
            keys, lifetime = self._read(fetched.document), fetched.max_age
        except Unfetched as problem:
            raise InvalidToken(str(problem)) from problem
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        kept = self._kept[uri] = Kept(keys, now + lifetime, now)
        return kept


class ClientKeys:
    def __init__(self, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        self._published = PublishedKeys(fetch, read, clock)

    async def of(self, client: Client, key_id: object) -> Mapping[str, SigningKey]:
        if client.jwks is not None:
            return read(client.jwks)
        if client.jwks_uri is None:
            raise InvalidToken("no key is registered for the client")
        return await self._published.at(client.jwks_uri, key_id)


def read(document: Mapping[str, Any]) -> Mapping[str, SigningKey]:
    """The keys of a set that assertions can be signed with: SMART asks for RS384 and ES384."""
    return _by_id(document, _SMART)


def read_any(document: Mapping[str, Any]) -> Mapping[str, SigningKey]:
    """Those that identity tokens can be signed with. RS256 where a key of RSA does not say: OpenID Connect Core §2."""
    return _by_id(document, _OPENID)


def _by_id(document: Mapping[str, Any], algorithms: Algorithms) -> Mapping[str, SigningKey]:
    """Two keys of one `kid` are an error: neither would be sure."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise InvalidToken("the key set has no list 'keys'")
    keys = [found for each in listed if isinstance(each, dict) and (found := _key(each, algorithms)) is not None]
    by_id = {str(key.kid): key for key in keys}
    if len(by_id) != len(keys):
        raise InvalidToken("two keys of the key set have the same 'kid'")
    return by_id


Algorithms = Mapping[tuple[object, object], tuple[str, ...]]

_SMART: Algorithms = {("RSA", None): ("RS384",), ("EC", "P-384"): ("ES384",)}
_OPENID: Algorithms = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
}
"""By type and curve of a key; the first where the key does not say."""


def _key(jwk: Mapping[str, Any], algorithms: Algorithms) -> SigningKey | None:
    """Keys for anything else, private ones and those without id are passed over."""
    if not isinstance(jwk.get("kid"), str) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    curve = jwk.get("crv")
    possible = algorithms.get((str(jwk.get("kty")), None if curve is None else str(curve)), ())
    algorithm = jwk.get("alg", possible[0] if possible else None)
    if algorithm not in possible:
        return None
    if jwk["kty"] == "RSA" and len(str(jwk.get("n"))) < SHORTEST_MODULUS:
        return None
    plain = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        return (ECKey if jwk["kty"] == "EC" else RSAKey).import_key(plain, {"kid": jwk["kid"], "alg": algorithm})
    except (JoseError, ValueError, TypeError):
        return None
