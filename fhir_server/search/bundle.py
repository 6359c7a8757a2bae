"""The searchset Bundle, written by joining the stored bytes of its resources.  https://hl7.org/fhir/R4/bundle.html#searchset"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fhir_server.fhir import json
from fhir_server.fhir.outcome import Issue, outcome
from fhir_server.fhir.version import Version
from fhir_server.search.query import Query
from fhir_server.search.summary import shaped

MATCH = b',"search":{"mode":"match"}}'
INCLUDE = b',"search":{"mode":"include"}}'
OUTCOME = b',"search":{"mode":"outcome"}}'


def searchset(
    query: Query,
    versions: Iterable[Version],
    *,
    base: str,
    self_link: str,
    included: Iterable[Version] = (),
    next_link: str | None = None,
    total: int | None = None,
    issues: Sequence[Issue] = (),
) -> bytes:
    """A page of matches and what accompanies them, shaped as the query asks; what it ignored is named in an outcome.

    `_elements` names elements of the matches only. https://hl7.org/fhir/R4/search.html#elements
    """
    beside = replace(query, elements=()) if query.elements else query
    start = ',{"fullUrl":' + json.encode(f"{base.rstrip('/')}/").decode()[:-1]
    entries = _entries(start, versions, query, MATCH) + _entries(start, included, beside, INCLUDE)
    named = (*query.ignored, *issues)
    if named:
        entries += (b',{"resource":', json.encode(outcome(named)), OUTCOME)
    if entries:
        entries[0] = b',"entry":[' + entries[0][1:]
        entries.append(b"]")
    return b"".join(
        (
            b'{"resourceType":"Bundle","type":"searchset"',
            b"" if total is None else b',"total":%d' % total,
            b',"link":' + json.encode(_links(self_link, next_link)),
            *entries,
            b"}",
        )
    )


def _entries(start: str, versions: Iterable[Version], query: Query, mode: bytes) -> list[bytes]:
    """The pieces of entries, each after a comma; joined only once, since bodies are long.

    Types and ids need no escaping in JSON.
    """
    pieces: list[bytes] = []
    whole = not query.shaped
    for each in versions:
        body = each.body if whole else shaped(each.body, query)
        pieces += (f'{start}{each.resource_type}/{each.resource_id}","resource":'.encode(), body, mode)
    return pieces


def _links(self_link: str, next_link: str | None) -> list[dict[str, str]]:
    links = [{"relation": "self", "url": self_link}]
    return [*links, {"relation": "next", "url": next_link}] if next_link else links
