"""$meta, $meta-add, $meta-delete: profiles, tags and security labels, seen and changed apart from the content.
https://hl7.org/fhir/R4/resource-operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from fhir_server.access.right import Right
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.interactions import preconditions
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.operation import Call
from fhir_server.store.repository import Repository

Meta = dict[str, Any]
Change = Callable[[list[Any], list[Any], Callable[[Any], Any]], list[Any]]


def _coded(coding: Any) -> tuple[Any, Any]:
    """System and code are the identity of a tag or a label; version and display are ignored."""
    return coding.get("system"), coding.get("code")


SETS: Final[dict[str, Callable[[Any], Any]]] = {"profile": str, "security": _coded, "tag": _coded}
"""The three sets in a meta, each with what two equal members have in common."""


async def run(ctx: Context, call: Call) -> EntryResponse:
    """Of one resource its meta; of a type or of everything what the resources have that the caller may see."""
    if call.resource_id:
        version = await ctx.repo.current(call.resource_type, call.resource_id)
        return _answer(version)
    types = (call.resource_type,) if call.resource_type else ()
    found = await ctx.repo.labels(types, [f"_{name}" for name in SETS])
    return parameters.values([("return", "Meta", _united(found))])


async def add(ctx: Context, call: Call) -> EntryResponse:
    return await _changed(ctx, call, _added)


async def delete(ctx: Context, call: Call) -> EntryResponse:
    return await _changed(ctx, call, _removed)


async def _changed(ctx: Context, call: Call, change: Change) -> EntryResponse:
    """A new version with the changed meta; none where nothing changes."""
    given: Meta = call.given.one("meta")
    expected = preconditions.expected_version(call.entry)

    async def write(repo: Repository) -> EntryResponse:
        current = await repo.current(call.resource_type, call.resource_id, Right.UPDATE)
        resource = current.resource()
        meta = _with(resource.get("meta", {}), given, change)
        if meta == resource.get("meta", {}) and expected in (None, current.version_id):
            return _answer(current)
        version, _ = await repo.update({**resource, "meta": meta}, expected=expected)
        return _answer(version)

    return await ctx.repo.transaction(write)


def _with(meta: Meta, given: Meta, change: Change) -> Meta:
    sets = {name: change(meta.get(name, []), given.get(name, []), identity) for name, identity in SETS.items()}
    rest = {name: value for name, value in meta.items() if name not in SETS}
    return {**rest, **{name: members for name, members in sets.items() if members}}


def _added(present: list[Any], given: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """Duplicates are not created."""
    members: dict[Any, Any] = {}
    for each in (*present, *given):
        members.setdefault(identity(each), each)
    return list(members.values())


def _removed(present: list[Any], given: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """It is no error if something is not there."""
    gone = {identity(each) for each in given}
    return [each for each in present if identity(each) not in gone]


def _answer(version: Version) -> EntryResponse:
    resource: Resource = version.resource()
    answer = parameters.values([("return", "Meta", resource["meta"])])
    return replace(answer, etag=version.etag, last_modified=version.last_updated)


def _united(combinations: Iterable[tuple[str, ...]]) -> Meta:
    """A meta with every profile, label and tag of the index; an empty one where there is none."""
    found: dict[str, set[str]] = {name: set() for name in SETS}
    for entries in combinations:
        for name, value in _named(entries):
            found[name].add(value)
    return {name: [_READ[name](each) for each in sorted(values)] for name, values in found.items() if values}


def _named(entries: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    """A canonical with a version is indexed without it as well, which is not another profile."""
    for entry in entries:
        code, _, value = entry.partition("=")
        if not any(other.startswith((f"{entry}|", f"{entry}#")) for other in entries):
            yield code.removeprefix("_"), value


def _coding(text: str) -> dict[str, str]:
    """The system has no bar in it, as a code may."""
    system, _, code = text.partition("|")
    return {name: value for name, value in (("system", system), ("code", code)) if value}


_READ: Final[dict[str, Callable[[str], Any]]] = {"profile": str, "security": _coding, "tag": _coding}
