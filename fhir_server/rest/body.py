"""Reading a request body within bounds: of size, also when inflated, and of time.  RFC 9110 §8.4, §15.5"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from fhir_server.fhir.outcome import FhirError, error, not_supported, too_long
from fhir_server.rest.asgi import Receive
from fhir_server.rest.headers import Headers

CLOSE = (("Connection", "close"),)
"""After a refusal in the middle of a body, what is left of it must not be taken for the next request."""

_GZIP_WBITS = 31


@dataclass(frozen=True, slots=True)
class BodyLimits:
    max_bytes: int
    grace_seconds: float
    bytes_per_second: int


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


async def read(receive: Receive, headers: Headers, limits: BodyLimits) -> bytes:
    """The body, decompressed."""
    sink = _sink(headers, limits)
    if _announced(headers) > limits.max_bytes:
        raise _too_long(limits)
    started = asyncio.get_running_loop().time()
    received, more = 0, True
    while more:
        deadline = started + limits.grace_seconds + received / limits.bytes_per_second
        chunk, more = await _chunk(receive, deadline)
        received += len(chunk)
        sink.write(chunk)
    return sink.whole()


async def _chunk(receive: Receive, deadline: float) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout_at(deadline):
            message = await receive()
    except TimeoutError as problem:
        raise error("timeout", "The request body arrives too slowly.", status=408, headers=CLOSE) from problem
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _announced(headers: Headers) -> int:
    """Content-Length, when it is honest; what really arrives is counted as well."""
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise error("invalid", "The Content-Length is not a number.", headers=CLOSE)
    return int(length)


def _too_long(limits: BodyLimits) -> FhirError:
    refusal = too_long(f"The request body is longer than {limits.max_bytes:,} bytes, the most that this server takes.")
    return FhirError(refusal.issues, headers=CLOSE)


def _sink(headers: Headers, limits: BodyLimits) -> _Plain:
    coding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if coding not in _SINKS:
        raise not_supported(f"Content-Encoding '{coding}' is not supported; gzip is.", status=415, headers=CLOSE)
    return _SINKS[coding](limits)


class _Plain:
    def __init__(self, limits: BodyLimits):
        self._limits = limits
        self._chunks: list[bytes] = []
        self._length = 0

    def write(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._length > self._limits.max_bytes:
            raise _too_long(self._limits)
        self._chunks.append(chunk)

    def whole(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


class _Gzip(_Plain):
    """Inflates no further than one byte beyond the limit: a bomb of 100 KB never becomes 100 MB. RFC 1952"""

    def __init__(self, limits: BodyLimits):
        super().__init__(limits)
        self._inflater = zlib.decompressobj(_GZIP_WBITS)

    def write(self, chunk: bytes) -> None:
        try:
            inflated = self._inflater.decompress(chunk, self._limits.max_bytes - self._length + 1)
        except zlib.error as problem:
            raise error(
                "structure", "The request body is not gzip, as Content-Encoding says.", headers=CLOSE
            ) from problem
        super().write(inflated)
        if self._inflater.unused_data:
            raise error("structure", "The request body goes on after the end of its gzip stream.", headers=CLOSE)

    def whole(self) -> bytes:
        if not self._inflater.eof:
            raise error("structure", "The gzip stream of the request body is cut off.")
        return super().whole()


_SINKS: dict[str, type[_Plain]] = {"identity": _Plain, "": _Plain, "gzip": _Gzip, "x-gzip": _Gzip}
