"""Every request gets its id, its security headers, its log line and its place in the metrics."""

from __future__ import annotations

from fhir_server.rest.asgi import App, Message, RawHeaders, Receive, Scope, Send
from fhir_server.rest.exchange import KEY, Exchange
from fhir_server.rest.records import Records

SECURITY: RawHeaders = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
]
TRANSPORT = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
"""RFC 6797: only where the published address is https."""


class Recorder:
    """The only wrapper of the FHIR door, and the outermost one of everything else."""

    def __init__(self, app: App, *, records: Records, secure: bool):
        self._app = app
        self._records = records
        self._fixed = [*SECURITY, TRANSPORT] if secure else SECURITY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope[KEY] = Exchange.of(scope)
        fixed = self._fixed

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message["headers"], *fixed, (b"x-request-id", exchange.request_id.encode())]
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, record)
        except BaseException:
            exchange.status = exchange.status or 500
            raise
        finally:
            exchange.over()
            self._records.add(exchange)
