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

Fetch = Callable[[str], Awaitable[Fetched]]


@dataclass(frozen=True, slots=True)
class Kept:
    keys: Mapping[str, SigningKey]
    until: float
    looked: float


class ClientKeys:
    def __init__(self, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    async def of(self, client: Client, key_id: object) -> Mapping[str, SigningKey]:
        """By `kid`; a set that is published is looked at again for a key that it did not have."""
        if client.jwks is not None:
            return read(client.jwks)
        if client.jwks_uri is None:
            raise InvalidToken("no key is registered for the client")
        now = self._clock()
        kept = self._kept.get(client.jwks_uri)
        if kept is None or kept.until <= now or (key_id not in kept.keys and kept.looked + PAUSE <= now):
            kept = await self._looked(client.jwks_uri, now)
        return kept.keys

    async def _looked(self, uri: str, now: float) -> Kept:
        try:
            fetched = await self._fetch(uri)
            keys, lifetime = read(fetched.document), fetched.max_age
        except Unfetched as problem:
            raise InvalidToken(str(problem)) from problem
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        kept = self._kept[uri] = Kept(keys, now + lifetime, now)
        return kept


def read(document: Mapping[str, Any]) -> Mapping[str, SigningKey]:
    """The keys of a set that assertions can be signed with; two of one `kid` are an error: neither would be sure."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise InvalidToken("the key set has no list 'keys'")
    keys = [found for each in listed if isinstance(each, dict) and (found := _key(each)) is not None]
    by_id = {str(key.kid): key for key in keys}
    if len(by_id) != len(keys):
        raise InvalidToken("two keys of the key set have the same 'kid'")
    return by_id


_ALGORITHMS: Mapping[tuple[object, object], str] = {("RSA", None): "RS384", ("EC", "P-384"): "ES384"}


def _key(jwk: Mapping[str, Any]) -> SigningKey | None:
    """SMART asks for RS384 and ES384; keys for anything else, private ones and those without id are passed over."""
    if not isinstance(jwk.get("kid"), str) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    algorithm = _ALGORITHMS.get((jwk.get("kty"), jwk.get("crv")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "RS384" and len(str(jwk.get("n"))) < SHORTEST_MODULUS:
        return None
    plain = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        return (ECKey if algorithm == "ES384" else RSAKey).import_key(plain, {"kid": jwk["kid"], "alg": algorithm})
    except (JoseError, ValueError, TypeError):
        return None
