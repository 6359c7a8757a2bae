"""Which scripts of other web origins may call.  https://fetch.spec.whatwg.org/#http-cors-protocol

Tokens travel in a header that no browser adds by itself, so an allowed origin gains nothing without one; credentials
(cookies) are never allowed.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from fhir_server.rest.asgi import App, Message, RawHeaders, Receive, Scope, Send
from fhir_server.rest.headers import Headers

Origins = Callable[[str], Awaitable[frozenset[str]]]
"""The web origins whose scripts may call, by tenant."""

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
    """What the answer to a preflight says beside `granted`: a header that is there twice counts for nothing."""
    return _PREFLIGHT if granted(headers, path, origins) else []


_CALLED = re.compile(r"/auth/(?P<tenant>[a-z0-9-]{1,63})/(?:token|introspect|revoke|userinfo)\Z")
"""What scripts call of the authorization server; its pages are for people."""


class CrossOrigin:
    """Lets scripts of the origins that a tenant's clients are registered with call its authorization server."""

    def __init__(self, app: App, origins: Origins):
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        called = _CALLED.match(scope["path"]) if scope["type"] == "http" else None
        headers = dict(scope["headers"]) if called else {}
        if called is None or b"origin" not in headers:
            await self._app(scope, receive, send)
            return
        origins = await self._origins(called["tenant"])
        shared = [*granted(headers, called.string, origins), (b"vary", b"Origin")]
        if is_preflight(scope["method"], headers):
            allowed = [*shared, *preflight(headers, called.string, origins)]
            await send({"type": "http.response.start", "status": 204, "headers": allowed})
            await send({"type": "http.response.body", "body": b""})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *shared]
            await send(message)

        await self._app(scope, receive, answer)
