"""Which scripts of other web origins may call.  https://fetch.spec.whatwg.org/#http-cors-protocol

Tokens travel in a header that no browser adds by itself, so an allowed origin gains nothing without one; credentials
(cookies) are never allowed.
"""

from __future__ import annotations

from fhir_server.rest.asgi import RawHeaders
from fhir_server.rest.headers import Headers

OPEN_PATHS = frozenset({"metadata", ".well-known/smart-configuration"})
"""Paths below a FHIR base that need no token and are open to every origin: an app reads them before it logs in."""

ANY = "*"
_EXPOSED = b"Content-Location, ETag, Last-Modified, Location, X-Request-Id"
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, "
        b"X-Idempotency-Key, X-Request-Id",
    ),
    (b"access-control-max-age", b"600"),
]


def is_preflight(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def granted(headers: Headers, path: str, origins: frozenset[str]) -> RawHeaders:
    """The headers that let the asking origin read the answer; none where it may not."""
    origin = headers.get(b"origin")
    if origin is None:
        return []
    if path in OPEN_PATHS or ANY in origins:
        allowed = b"*"
    elif origin.decode("latin-1") in origins:
        allowed = origin
    else:
        return []
    return [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", _EXPOSED)]


def preflight(headers: Headers, path: str, origins: frozenset[str]) -> RawHeaders:
    allowed = granted(headers, path, origins)
    return allowed + _PREFLIGHT if allowed else []
