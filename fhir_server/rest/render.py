"""An answer in HTTP: status, headers, bytes.  https://hl7.org/fhir/R4/http.html#versioning"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, Issue, outcome
from fhir_server.fhir.xml import writer
from fhir_server.rest.asgi import RawHeaders, Send
from fhir_server.rest.negotiation import Format, Wanted

JSON_TYPE = (b"content-type", b"application/fhir+json; charset=utf-8")
XML_TYPE = (b"content-type", b"application/fhir+xml; charset=utf-8")

FIXED: RawHeaders = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Accept, Accept-Encoding, Authorization, Origin"),
]
"""An answer may be kept by the client that got it, and asked for again with its ETag, but by nobody in between."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_GZIP_WBITS = 31
LONG_BYTES = 262_144
LONG_XML_BYTES = 131_072
"""So much JSON takes a few milliseconds to become XML."""


@dataclass(slots=True)
class Answer:
    """What goes out. The body is already in the right format; compression is decided when it is sent."""

    status: int
    headers: RawHeaders = field(default_factory=list)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Compression:
    level: int
    minimum: int

    def applies(self, accept_encoding: bytes, body: bytes) -> bool:
        return bool(self.level) and len(body) >= self.minimum and _takes_gzip(accept_encoding)


def answer(response: EntryResponse, base: str) -> Answer:
    headers = [*FIXED, *validators(response), *raw(response.headers)]
    if response.location is not None:
        # R4 asks for Location on what was created; for what was updated it is the place of the content.
        name = b"location" if response.status == 201 else b"content-location"
        headers.append((name, f"{base}/{response.location}".encode()))
    if response.body is None:
        return Answer(response.status, headers)
    headers.append((b"content-type", response.media_type.encode()) if response.media_type else JSON_TYPE)
    return Answer(response.status, headers, response.body)


async def shaped(reply: Answer, wanted: Wanted) -> Answer:
    """The answer, made in JSON, in the format and form that the client asked for."""
    if not reply.body or (wanted.format is not Format.XML and not wanted.pretty):
        return reply
    if wanted.format is not Format.XML:
        return Answer(reply.status, reply.headers, json.pretty(reply.body))
    headers = [XML_TYPE if each is JSON_TYPE else each for each in reply.headers]
    if len(reply.body) < LONG_XML_BYTES:
        return Answer(reply.status, headers, _as_xml(reply.body, wanted.pretty))
    return Answer(reply.status, headers, await asyncio.to_thread(_as_xml, reply.body, wanted.pretty))


def _as_xml(body: bytes, pretty: bool) -> bytes:
    return writer.write(json.trusted(body), pretty=pretty)


def validators(response: EntryResponse) -> RawHeaders:
    headers: RawHeaders = []
    if response.etag is not None:
        headers.append((b"etag", response.etag.encode()))
    if response.last_modified is not None:
        headers.append((b"last-modified", _http_date(response.last_modified)))
    return headers


def refusal(problem: FhirError) -> Answer:
    return Answer(problem.status, [*FIXED, *raw(problem.headers), JSON_TYPE], json.encode(outcome(problem.issues)))


def failure(request_id: str) -> Answer:
    """500: the client learns the number under which the log has the rest."""
    issue = Issue(
        "exception", f"Something went wrong inside the server. It is recorded under the request id {request_id}."
    )
    return Answer(500, [*FIXED, JSON_TYPE], json.encode(outcome([issue])))


def raw(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    return [(name.lower().encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers]


async def send(reply: Answer, deliver: Send, *, head: bool, accept_encoding: bytes, compression: Compression) -> None:
    body, headers = reply.body, reply.headers
    if compression.applies(accept_encoding, body):
        body = await _compressed(body, compression.level)
        headers = [*headers, (b"content-encoding", b"gzip")]
    if reply.status not in (204, 304):
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await deliver({"type": "http.response.start", "status": reply.status, "headers": headers})
    await deliver({"type": "http.response.body", "body": b"" if head else body})


async def _compressed(body: bytes, level: int) -> bytes:
    """A long body is compressed beside the event loop, so that nobody else waits for it."""
    if len(body) < LONG_BYTES:
        return zlib.compress(body, level, _GZIP_WBITS)
    return await asyncio.to_thread(zlib.compress, body, level, _GZIP_WBITS)


@lru_cache(maxsize=64)
def _takes_gzip(accept_encoding: bytes) -> bool:
    """RFC 9110 §12.5.3"""
    for coding in accept_encoding.decode("latin-1").lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _http_date(moment: datetime) -> bytes:
    """The preferred form of RFC 9110 §5.6.7; `moment` is UTC, as everything that the store gives."""
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
        f"{moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    ).encode()
