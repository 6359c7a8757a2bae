"""$document: a composition and what it refers to as one Bundle.
https://hl7.org/fhir/R4/composition-operation-document.html https://hl7.org/fhir/R4/documents.html#content
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from fhir_server.fhir import json, validate
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, error, invalid, not_supported, too_costly
from fhir_server.fhir.references import written_in
from fhir_server.fhir.resource import ID, LOCAL_REFERENCE, Resource, instant
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.graph import walked
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.references import expression_of

MAX_ENTRIES: Final = 1_000
_ELSEWHERE: Final = frozenset({"relatesTo", "contained"})
"""Elements of a composition whose references are no part of its document."""


async def run(ctx: Context, call: Call) -> EntryResponse:
    persist = call.given.one("persist") is True
    if persist and call.entry.method != "POST":
        raise not_supported("A document is stored by POST only: GET changes nothing.", status=405)
    composition = await ctx.repo.current("Composition", _id(ctx, call))
    found = {_key(each): each for each in (composition, *await _referred(ctx, composition.resource()))}
    graph = call.given.one("graph")
    if graph is not None:
        found |= {_key(each): each for each in await walked(ctx, graph, composition, MAX_ENTRIES)}
    document = _document(ctx, list(found.values()))
    return await _stored(ctx, document) if persist else parameters.resource(json.encode(document), "Bundle")


def _id(ctx: Context, call: Call) -> str:
    """That of the path, or on the type the one in `id`: a simple id or a URL of this server."""
    given = call.given.one("id")
    if call.resource_id:
        if given is not None:
            raise invalid(f"The composition is {call.resource_id}; 'id' cannot be given beside it.")
        return call.resource_id
    if given is None:
        raise parameters.required("document", "id")
    resource_id = given.removeprefix(f"{ctx.base}/").removeprefix("Composition/")
    if not ID.match(resource_id):
        raise not_supported(f"'{given}' is no composition of this server.")
    return str(resource_id)


async def _referred(ctx: Context, composition: Resource) -> list[Version]:
    """What the composition refers to; a document is whole, or there is none."""
    about = {name: value for name, value in composition.items() if name not in _ELSEWHERE}
    texts = list(dict.fromkeys(written_in(about)))
    if len(texts) > MAX_ENTRIES:
        raise too_costly(f"The composition refers to {len(texts)} resources; a document has at most {MAX_ENTRIES}.")
    return [await _read(ctx, composition, text) for text in texts]


def _key(version: Version) -> tuple[str, str]:
    return version.resource_type, version.resource_id


async def _read(ctx: Context, composition: Resource, text: str) -> Version:
    local = LOCAL_REFERENCE.match(text.removeprefix(f"{ctx.base}/"))
    if local is None:
        raise _missing(composition, text, "which is not on this server")
    try:
        if local[3]:
            return await ctx.repo.at(local[1], local[2], local[3])
        return await ctx.repo.current(local[1], local[2])
    except FhirError as problem:
        raise _missing(composition, text, "which cannot be read") from problem


def _missing(composition: Resource, text: str, why: str) -> FhirError:
    return error(
        "not-found",
        f"The composition refers to '{text}', {why}; a document has all of it.",
        status=422,
        expression=expression_of(composition, text),
    )


def _document(ctx: Context, versions: list[Version]) -> Resource:
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{ctx.repo.new_id()}"},
        "type": "document",
        "timestamp": instant(datetime.now(UTC)),
        "entry": [
            {"fullUrl": f"{ctx.base}/{each.resource_type}/{each.resource_id}", "resource": each.resource()}
            for each in versions
        ],
    }


async def _stored(ctx: Context, document: Resource) -> EntryResponse:
    """https://hl7.org/fhir/R4/composition-operation-document.html: its place is told in Location"""
    validate.check(document)
    version = await ctx.repo.create(document)
    answer = EntryResponse.of(200, version, location=True)
    return replace(answer, headers=(("Location", f"{ctx.base}/{version.location}"),))
