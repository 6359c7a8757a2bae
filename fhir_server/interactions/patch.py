"""patch: the next version of a resource, made from the current one by operations.  https://hl7.org/fhir/R4/http.html#patch

A JSON or XML Patch comes in a Binary, as in a Bundle; the HTTP door makes one of its body. A FHIRPath Patch is a
Parameters.
"""

from __future__ import annotations

import base64
import binascii

from msgspec.structs import replace

from fhir_server.access.right import Right
from fhir_server.fhir import fhirpath_patch, json_patch, validate
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import error, not_supported
from fhir_server.fhir.patch import Patch
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.fhir.xml import patch as xml_patch
from fhir_server.interactions import answers, conditions, integrity, preconditions, profiles
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository


async def run(ctx: Context, entry: EntryRequest, resource_type: str, resource_id: str) -> EntryResponse:
    """In a transaction: whoever was faster makes this one start again from the newer version."""
    patch = received(entry)

    async def patched(repo: Repository) -> EntryResponse:
        return await _patched(ctx.inside(repo), entry, patch, (resource_type, resource_id))

    return await ctx.repo.transaction(patched)


async def conditional(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    """Of the one resource that the criteria match. https://hl7.org/fhir/R4/http.html#cond-update"""
    patch = received(entry)

    async def patched(repo: Repository) -> EntryResponse:
        inside = ctx.inside(repo)
        return await _patched(inside, entry, patch, (resource_type, await identity(inside, entry, resource_type)))

    return await ctx.repo.transaction(patched)


async def identity(ctx: Context, entry: EntryRequest, resource_type: str) -> str:
    existing = await conditions.match(ctx, resource_type, entry.query)
    if existing is None:
        raise error("not-found", f"No {resource_type} matches the criteria.")
    return existing.resource_id


def received(entry: EntryRequest) -> Patch:
    """The patch of an entry; 400 where it is malformed, 415 where it is of another kind."""
    resource = entry.resource or {}
    kind = resource.get("resourceType")
    if kind not in _READERS:
        raise error("structure", f"A patch is a JSON Patch in a Binary, or a Parameters, not {kind or 'nothing'}.")
    validate.check(resource, for_another=True)
    return _READERS[kind](resource)


def _of_binary(binary: Resource) -> Patch:
    found = binary["contentType"].partition(";")[0].strip().lower()
    if found not in FORMATS:
        raise not_supported(f"A patch of the type '{found}' is not supported; {' and '.join(FORMATS)} are.", status=415)
    try:
        return FORMATS[found](base64.b64decode(binary.get("data", "")))
    except binascii.Error as problem:
        raise error("value", "The data of the Binary is not base64.", expression="Binary.data") from problem


FORMATS = {json_patch.MEDIA_TYPE: json_patch.read, xml_patch.MEDIA_TYPE: xml_patch.read}
_READERS = {"Binary": _of_binary, "Parameters": fhirpath_patch.read}


async def result(ctx: Context, entry: EntryRequest, patch: Patch, key: tuple[str, str]) -> tuple[Resource, Resource]:
    """The current version and what the patch makes of it: a valid resource of the same id."""
    current = await ctx.repo.current(*key, right=Right.UPDATE)
    preconditions.require(ctx, entry, current)
    before = current.resource()
    after = patch(before)
    validate.check(after)
    return before, await profiles.kept(ctx, after)


async def _patched(ctx: Context, entry: EntryRequest, patch: Patch, key: tuple[str, str]) -> EntryResponse:
    before, after = await result(ctx, entry, patch, key)
    return await stored(ctx, entry, await integrity.kept(ctx, after, before=before))


async def stored(ctx: Context, entry: EntryRequest, resource: Resource) -> EntryResponse:
    """Where the caller may change but not read it the resource is not shown: most of it did not come with the patch."""
    version, _ = await ctx.repo.update(resource)
    answer = answers.written(entry, 200, version)
    if answer.body is None or answer.resource_type is None or await _readable(ctx, version):
        return answer
    return replace(answer, body=None)


async def _readable(ctx: Context, version: Version) -> bool:
    key = (version.resource_type, version.resource_id)
    return integrity.permitted(ctx, key[0], Right.READ) and key in await ctx.repo.existing([key])
