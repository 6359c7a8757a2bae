"""An HTTP request as an entry: the same form that a Bundle brings.
https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.xml import reader
from fhir_server.interactions import patch
from fhir_server.rest import binary, body
from fhir_server.rest.address import Address
from fhir_server.rest.asgi import Receive
from fhir_server.rest.body import BodyLimits
from fhir_server.rest.headers import Headers, idempotency_key, moment, preferences, text
from fhir_server.rest.negotiation import (
    FHIR_JSON,
    FHIR_XML,
    FORM,
    MediaType,
    content,
    unsupported_content,
    without_format,
)

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
SEARCH = "_search"
GRAPHQL = "$graphql"
QUERIES = frozenset({"application/graphql", "application/json"})
"""Queries that are no resource. https://hl7.org/fhir/R4/graphql.html"""
LONG_XML_BYTES = 65_536
"""So much XML takes about ten milliseconds."""


def asked(method: str, address: Address, headers: Headers) -> EntryRequest:
    """The entry without its body, which is read only once it is clear that somebody may send it."""
    query = without_format(address.query)
    since = headers.get(b"if-modified-since")
    return EntryRequest(
        method="GET" if method == "HEAD" else method,
        url=f"{address.path}?{query}" if query else address.path,
        if_match=text(headers, b"if-match"),
        if_none_match=text(headers, b"if-none-match"),
        if_modified_since=moment(since) if since else None,
        if_none_exist=text(headers, b"if-none-exist"),
        idempotency_key=idempotency_key(headers),
        prefer=preferences(headers[b"prefer"]) if b"prefer" in headers else frozenset(),
    )


async def filled(
    entry: EntryRequest, path: dict[str, str], headers: Headers, receive: Receive, limits: BodyLimits
) -> EntryRequest:
    """The entry with what its body says: a resource, the content of a Binary, or search parameters."""
    if entry.path.rpartition("/")[2] == SEARCH:
        _expect(FORM, headers)
        return _searching(entry, await body.read(receive, headers, limits))
    if entry.method == "PATCH":
        return await _patching(entry, headers, receive, limits)
    if entry.path.rpartition("/")[2] == GRAPHQL and _is_query(headers):
        return replace(entry, resource=binary.of(await body.read(receive, headers, limits), _type_of(headers)))
    if _is_operation(entry) and content(headers) is None and headers.get(b"content-length", b"0") == b"0":
        # The parameters may all be in the URL, or there may be none. https://hl7.org/fhir/R4/operations.html#request
        return entry
    if path.get("resource_type") == binary.TYPE and _is_raw(headers) and not _is_operation(entry):
        raw = await body.read(receive, headers, limits)
        return replace(entry, resource=binary.received(raw, headers, path.get("resource_id")))
    found = _expect(FHIR_JSON, headers)
    return replace(entry, resource=await _parsed(await body.read(receive, headers, limits), found))


async def _parsed(raw: bytes, found: MediaType | None) -> Resource:
    """The resource of a body. Long XML is read beside the event loop, so that nobody else waits for it."""
    if found is None or not found.is_xml:
        return json.parse(raw)
    return reader.parse(raw) if len(raw) < LONG_XML_BYTES else await asyncio.to_thread(reader.parse, raw)


async def _patching(entry: EntryRequest, headers: Headers, receive: Receive, limits: BodyLimits) -> EntryRequest:
    """A JSON or XML Patch in a Binary, as in a Bundle; a FHIRPath Patch is a resource in either format.

    https://hl7.org/fhir/R4/http.html#patch
    """
    found = content(headers)
    if found is not None and found.name in patch.FORMATS:
        raw = await body.read(receive, headers, limits)
        return replace(entry, resource=binary.of(raw, found.name))
    if found is None or not (found.is_json or found.is_xml):
        raise unsupported_content(found, " or ".join(PATCHES), headers=[("Accept-Patch", ", ".join(PATCHES))])
    return replace(entry, resource=await _parsed(await body.read(receive, headers, limits), found))


PATCHES = (*patch.FORMATS, FHIR_JSON, FHIR_XML)


def _is_query(headers: Headers) -> bool:
    return _type_of(headers) in QUERIES


def _type_of(headers: Headers) -> str:
    found = content(headers)
    return found.name if found else ""


def _is_operation(entry: EntryRequest) -> bool:
    return entry.path.rpartition("/")[2].startswith("$")


def _is_raw(headers: Headers) -> bool:
    found = content(headers)
    return found is not None and not found.is_fhir


def _expect(expected: str, headers: Headers) -> MediaType | None:
    """415 before the body is read. https://hl7.org/fhir/R4/http.html#mime-type"""
    found = content(headers)
    if expected == FORM:
        # A search without a body needs no type for it.
        fits = found.name == FORM if found else headers.get(b"content-length", b"0") == b"0"
    else:
        fits = found is not None and (found.is_json or found.is_xml)
        expected = f"{FHIR_JSON} or {FHIR_XML}"
    if not fits:
        raise unsupported_content(found, expected)
    return found


def _searching(entry: EntryRequest, form: bytes) -> EntryRequest:
    """Parameters of the URL and of the body count together. https://hl7.org/fhir/R4/http.html#search"""
    try:
        more = without_format(form.decode("ascii").strip())
    except UnicodeDecodeError as problem:
        raise bad_value("The form has characters that must be percent-encoded as UTF-8.") from problem
    separator = "&" if "?" in entry.url else "?"
    return replace(entry, url=f"{entry.url}{separator}{more}") if more else entry
