"""The answers that interactions share: a version found, and a version written.  https://hl7.org/fhir/R4/http.html#ops"""

from __future__ import annotations

from msgspec.structs import replace

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import Issue, outcome
from fhir_server.fhir.version import Version
from fhir_server.interactions import preconditions
from fhir_server.search.parse import parse
from fhir_server.search.summary import shaped

_DONE = {200: "updated", 201: "created"}


def found(entry: EntryRequest, version: Version) -> EntryResponse:
    """The version itself, or 304 where the caller has it already."""
    if preconditions.not_modified(entry, version):
        return EntryResponse(304, etag=version.etag, last_modified=version.last_updated)
    answer = EntryResponse.of(200, version)
    shape = [pair for pair in entry.query if pair[0] in _SHAPE]
    if not shape:
        return answer
    query = parse((version.resource_type,), shape, lenient=False, base="")
    return replace(answer, body=shaped(version.body, query))


_SHAPE = frozenset({"_summary", "_elements"})
"""Parameters of a search that mean the same for one resource. https://hl7.org/fhir/R4/http.html#read"""


def written(entry: EntryRequest, status: int, version: Version) -> EntryResponse:
    """What was stored, in the form that Prefer asks for. https://hl7.org/fhir/R4/http.html#ops"""
    answer = EntryResponse.of(status, version, location=True)
    if "return=minimal" in entry.prefer:
        return replace(answer, body=None)
    if "return=operationoutcome" in entry.prefer:
        return replace(answer, body=said(f"{version.location} has been {_DONE[status]}."), resource_type=None)
    return answer


def said(message: str) -> bytes:
    """An OperationOutcome that reports success."""
    return json.encode(outcome([Issue("informational", message, severity="information")]))
