"""Answers in HTTP.  https://hl7.org/fhir/R4/http.html#versioning"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error
from fhir_server.fhir.xml import reader
from fhir_server.rest.negotiation import Format, Wanted
from fhir_server.rest.render import (
    LONG_BYTES,
    LONG_XML_BYTES,
    Answer,
    Compression,
    answer,
    failure,
    refusal,
    send,
    shaped,
)

BASE = "http://127.0.0.1:8080/fhir/acme"
MOMENT = datetime(2024, 2, 5, 7, 8, 9, 123000, tzinfo=UTC)


async def sent(reply: Answer, accept_encoding: bytes = b"", *, head: bool = False) -> tuple[dict[str, Any], bytes]:
    messages: list[Any] = []

    async def deliver(message: Any) -> None:
        messages.append(message)

    compression = Compression(level=1, minimum=100)
    await send(reply, deliver, head=head, accept_encoding=accept_encoding, compression=compression)
    start, body = messages
    return {"status": start["status"], **{k.decode(): v.decode() for k, v in start["headers"]}}, body["body"]


def test_a_version_carries_its_tag_and_time() -> None:
    headers = dict(answer(EntryResponse(200, b"{}", 'W/"3"', MOMENT), BASE).headers)
    assert headers[b"etag"] == b'W/"3"'
    assert headers[b"last-modified"] == b"Mon, 05 Feb 2024 07:08:09 GMT"
    assert b"location" not in headers


@pytest.mark.parametrize(("status", "name"), [(201, b"location"), (200, b"content-location")])
def test_the_place_of_what_was_written_is_absolute(status: int, name: bytes) -> None:
    headers = dict(answer(EntryResponse(status, location="Patient/p1/_history/1"), BASE).headers)
    assert headers[name] == b"http://127.0.0.1:8080/fhir/acme/Patient/p1/_history/1"
    assert b"content-type" not in headers


async def test_pretty_keeps_decimals() -> None:
    reply = await shaped(answer(EntryResponse(200, b'{"value":1.00}'), BASE), Wanted(pretty=True))
    assert reply.body == b'{\n  "value": 1.00\n}'


async def test_an_answer_becomes_xml() -> None:
    for body in (b'{"resourceType":"Basic","id":"a"}', b'{"resourceType":"Basic","id":"%s"}' % (b"a" * LONG_XML_BYTES)):
        reply = await shaped(answer(EntryResponse(200, body), BASE), Wanted(format=Format.XML))
        assert reader.parse(reply.body) == json.loads(body)
        assert dict(reply.headers)[b"content-type"] == b"application/fhir+xml; charset=utf-8"


async def test_what_has_no_body_and_what_is_wanted_as_it_is_stays() -> None:
    for response, wanted in ((EntryResponse(204), Wanted(format=Format.XML)), (EntryResponse(200, b"{}"), Wanted())):
        reply = answer(response, BASE)
        assert await shaped(reply, wanted) is reply


def test_a_refusal_is_an_outcome_with_its_headers() -> None:
    reply = refusal(error("login", "Who are you?", headers=[("WWW-Authenticate", "Bearer")]))
    assert reply.status == 401
    assert dict(reply.headers)[b"www-authenticate"] == b"Bearer"
    assert json.loads(reply.body)["issue"][0]["code"] == "login"


def test_a_failure_names_the_request_and_nothing_else() -> None:
    assert json.loads(failure("r-1").body)["issue"] == [
        {
            "severity": "error",
            "code": "exception",
            "diagnostics": "Something went wrong inside the server. It is recorded under the request id r-1.",
        }
    ]


@pytest.mark.parametrize("accept", [b"gzip", b"br, GZIP;q=0.5", b"*"])
async def test_a_long_answer_is_compressed_for_who_takes_it(accept: bytes) -> None:
    headers, body = await sent(Answer(200, [], b"x" * 1000), accept)
    assert headers["content-encoding"] == "gzip"
    assert headers["content-length"] == str(len(body))
    assert gzip.decompress(body) == b"x" * 1000


async def test_a_very_long_answer_is_compressed_as_well() -> None:
    headers, body = await sent(Answer(200, [], b"x" * LONG_BYTES), b"gzip")
    assert headers["content-length"] == str(len(body))
    assert gzip.decompress(body) == b"x" * LONG_BYTES


@pytest.mark.parametrize(("accept", "size"), [(b"", 1000), (b"gzip;q=0", 1000), (b"br", 1000), (b"gzip", 99)])
async def test_other_answers_are_not(accept: bytes, size: int) -> None:
    headers, body = await sent(Answer(200, [], b"x" * size), accept)
    assert "content-encoding" not in headers
    assert len(body) == size


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    headers, body = await sent(Answer(200, [], b"{}"), head=True)
    assert headers["content-length"] == "2"
    assert body == b""


@pytest.mark.parametrize("status", [204, 304])
async def test_no_content_has_no_length(status: int) -> None:
    assert "content-length" not in (await sent(Answer(status)))[0]
