"""The Bundle of an operation that finds resources, joined from their stored bytes.
https://hl7.org/fhir/R4/bundle.html#searchset
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.fhir import json
from fhir_server.fhir.version import Version

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


def _entry(base: str, version: Version, mode: bytes) -> bytes:
    url = json.encode(f"{base}/{version.resource_type}/{version.resource_id}")
    return b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (url, version.body, mode)
