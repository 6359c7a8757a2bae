"""The Bundle of an operation that finds resources, joined from their stored bytes.
https://hl7.org/fhir/R4/bundle.html#searchset
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlencode

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.operation import Call

MATCH, INCLUDE = b"match", b"include"


def searchset(
    found: Iterable[tuple[Version, bytes]], *, base: str, self_link: str, next_link: str | None, total: int | None
) -> bytes:
    """Each version with the search mode under which it is in the answer."""
    links = [{"relation": "self", "url": self_link}]
    if next_link is not None:
        links.append({"relation": "next", "url": next_link})
    entries = b",".join(_entry(base, version, mode) for version, mode in found)
    return b"".join(
        (
            b'{"resourceType":"Bundle","type":"searchset"',
            b"" if total is None else b',"total":%d' % total,
            b',"link":' + json.encode(links),
            b',"entry":[%b]' % entries if entries else b"",
            b"}",
        )
    )


def whole(ctx: Context, call: Call, found: Sequence[Version], applied: Sequence[tuple[str, str]]) -> EntryResponse:
    """All that was found on one page, with the parameters that were applied as its self link."""
    body = searchset(
        [(version, MATCH) for version in found],
        base=ctx.base,
        self_link=f"{ctx.base}/{call.entry.path}?{urlencode(applied, quote_via=quote, safe=':/,$')}",
        next_link=None,
        total=len(found),
    )
    return parameters.resource(body, "Bundle")


def _entry(base: str, version: Version, mode: bytes) -> bytes:
    url = json.encode(f"{base}/{version.resource_type}/{version.resource_id}")
    return b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (url, version.body, mode)
