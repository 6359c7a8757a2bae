"""What an identity provider publishes of itself, read as strictly as what it signs.

https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata, RFC 8414, RFC 9207 §3
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fhir_server.auth.client_keys import PAUSE, PublishedKeys, read_any
from fhir_server.auth.fetching import Fetching, Unfetched
from fhir_server.auth.jwt import SigningKey

WELL_KNOWN = "/.well-known/openid-configuration"
MOST = 1000
SHORTEST = 30.0
"""Seconds for which a document is kept at least: a sign-in reads it twice."""

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Published:
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    """OpenID Connect RP-Initiated Logout §2.1"""
    names_itself: bool
    """Every answer says which issuer it is from. RFC 9207 §2.3"""
    posts_secrets: bool
    """A secret goes into the form, because the provider takes none in a header."""


class Discovery:
    """The documents of providers and their keys, remembered for as long as they allow."""

    def __init__(self, fetching: Fetching, clock: Callable[[], float] = monotonic) -> None:
        self._fetching = fetching
        self._clock = clock
        self._keys = PublishedKeys(fetching, read_any, clock)
        self._kept: dict[str, tuple[float, Published | Unfetched]] = {}

    async def of(self, issuer: str) -> Published:
        """Raises `Unfetched` where it cannot be had, or cannot be used."""
        until, kept = self._kept.get(issuer, (0.0, None))
        if kept is None or until <= self._clock():
            if len(self._kept) >= MOST:
                self._kept.clear()
            kept, lasts = await self._looked(issuer)
            self._kept[issuer] = (self._clock() + lasts, kept)
        if isinstance(kept, Unfetched):
            raise Unfetched(str(kept))
        return kept

    async def _looked(self, issuer: str) -> tuple[Published | Unfetched, float]:
        """A failure is remembered for a moment: a provider that is away keeps nobody else waiting."""
        try:
            fetched = await self._fetching(issuer.rstrip("/") + WELL_KNOWN)
            return _read(issuer, fetched.document, self._fetching.permits), max(SHORTEST, fetched.max_age)
        except Unfetched as problem:
            return problem, PAUSE

    async def keys(self, published: Published, key_id: object) -> Mapping[str, SigningKey]:
        """Raises `InvalidToken`."""
        return await self._keys.at(published.jwks_uri, key_id)


def _read(issuer: str, document: Mapping[str, Any], permits: Callable[[str], bool]) -> Published:
    if document.get("issuer") != issuer:
        # OpenID Connect Discovery §4.3: MUST exactly match.
        raise Unfetched("the document is that of another issuer")
    places = {name: document.get(name) for name in _ENDPOINTS}
    for name, address in places.items():
        if not isinstance(address, str) or not _is_permitted(address, permits):
            raise Unfetched(f"its '{name}' is missing or not an https address")
    ending = document.get("end_session_endpoint")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Published(
        issuer,
        **{name: str(address) for name, address in places.items()},
        end_session_endpoint=ending if isinstance(ending, str) and _is_permitted(ending, permits) else None,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        posts_secrets=isinstance(methods, list)
        and "client_secret_basic" not in methods
        and "client_secret_post" in methods,
    )


def _is_permitted(address: str, permits: Callable[[str], bool]) -> bool:
    try:
        return address.isascii() and address.isprintable() and permits(address) and "#" not in address
    except ValueError:
        return False
