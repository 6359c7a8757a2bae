"""$validate: whether a resource would be accepted, and every fault where it would not.
https://hl7.org/fhir/R4/resource-operation-validate.html

200 whether or not the resource is valid; another status says that it could not be checked at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir import json, validate
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, Issue, error, invalid, outcome
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.walk import BAD_REQUEST
from fhir_server.interactions import integrity, profiles
from fhir_server.interactions.context import APPEND_ONLY, Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.operation import Call
from fhir_server.search.index import index


async def run(ctx: Context, call: Call) -> EntryResponse:
    mode = call.given.one("mode")
    if mode not in _MODES:
        raise invalid(f"mode is '{mode}'; it can be {', '.join(each for each in _MODES if each)}.")
    await _known_profiles(ctx, call)
    found = await _MODES[mode](ctx, call)
    issues = found if _refused(found) else [NO_FAULTS, *found]
    return parameters.resource(json.encode(outcome(issues)), "OperationOutcome")


NO_FAULTS: Final = Issue("informational", "There are no faults.", severity="information")


def _refused(found: list[Issue]) -> bool:
    """Warnings and information are advice."""
    return any(each.severity == "error" for each in found)


async def _known_profiles(ctx: Context, call: Call) -> None:
    """422 where a profile is asked for that there is not: nothing could be said about it."""
    for each in call.given.all("profile"):
        if not await profiles.known(ctx, each):
            told = f"There is no profile '{each}' here: load its package, or post its StructureDefinition."
            raise error("not-found", told, status=422)


async def _content(ctx: Context, call: Call) -> list[Issue]:
    """What is to be said of what was sent, or, on an instance, of what is stored."""
    return await _report(ctx, call, await _resource(ctx, call))


async def _profile(ctx: Context, call: Call) -> list[Issue]:
    if not call.given.all("profile"):
        raise parameters.required("validate", "profile")
    return await _content(ctx, call)


async def _creation(ctx: Context, call: Call) -> list[Issue]:
    resource = _sent(call)
    found = await _report(ctx, call, resource)
    return found if _refused(found) else [*await _acceptable(ctx, resource, Right.CREATE), *found]


async def _update(ctx: Context, call: Call) -> list[Issue]:
    _on_instance(call)
    resource = _sent(call)
    found = [*_identity(resource, call), *await _report(ctx, call, resource)]
    return found if _refused(found) else [*await _updatable(ctx, call, resource), *found]


async def _updatable(ctx: Context, call: Call, resource: Resource) -> list[Issue]:
    if call.resource_type in APPEND_ONLY:
        return [_record(call)]
    await ctx.repo.current(call.resource_type, call.resource_id, Right.UPDATE)
    return await _acceptable(ctx, resource, Right.UPDATE)


async def _deletion(ctx: Context, call: Call) -> list[Issue]:
    """The content is not looked at."""
    _on_instance(call)
    if call.resource_type in APPEND_ONLY:
        return [_record(call)]
    await ctx.repo.current(call.resource_type, call.resource_id, Right.DELETE)
    return []


_MODES: Final[dict[str | None, Callable[[Context, Call], Awaitable[list[Issue]]]]] = {
    None: _content,
    "profile": _profile,
    "create": _creation,
    "update": _update,
    "delete": _deletion,
}
"""https://hl7.org/fhir/R4/valueset-resource-validation-mode.html"""


def _on_instance(call: Call) -> None:
    if not call.resource_id:
        raise invalid(f"The mode '{call.given.one('mode')}' is for one resource: Patient/123/$validate.")


def _sent(call: Call) -> Resource:
    resource: Resource | None = call.given.one("resource")
    if resource is None:
        raise parameters.required("validate", "resource")
    return resource


async def _resource(ctx: Context, call: Call) -> Resource:
    if call.resource_id and call.given.one("resource") is None:
        return (await ctx.repo.current(call.resource_type, call.resource_id)).resource()
    return _sent(call)


async def _report(ctx: Context, call: Call, resource: Resource) -> list[Issue]:
    """Against R4; where it has the structure that R4 asks for, also against the profiles asked for and claimed."""
    sent, found = resource.get("resourceType"), []
    if call.resource_type and isinstance(sent, str) and sent != call.resource_type:
        wrong = f"The resource is of the type {sent!r}, but the url says '{call.resource_type}'."
        found.append(Issue("invalid", wrong, ("resourceType",)))
    found += validate.report(resource)
    if _is_broken(resource):
        return found
    return [*found, *await profiles.faults(ctx, resource, list(call.given.all("profile")))]


def _is_broken(resource: Resource) -> bool:
    try:
        validate.check(resource)
    except FhirError as problem:
        return problem.status == BAD_REQUEST
    return False


def _identity(resource: Resource, call: Call) -> list[Issue]:
    """https://hl7.org/fhir/R4/http.html#update"""
    sent = resource.get("id")
    if sent == call.resource_id:
        return []
    said = f"the id {sent!r}" if sent is not None else "no id"
    wrong = f"The resource has {said}, but the url says '{call.resource_id}'."
    return [Issue("invalid", wrong, (f"{call.resource_type}.id",))]


def _record(call: Call) -> Issue:
    return Issue("not-supported", f"A {call.resource_type} is a record: it is never changed.")


async def _acceptable(ctx: Context, resource: Resource, right: Right) -> list[Issue]:
    """What a write would be refused for beside its content: rights, and references that lead nowhere."""
    resource_type = resource["resourceType"]
    allowed = restriction(ctx.repo.caller, resource_type, right, ctx.repo.tenant.blinding)
    if not allowed.permits(resource_type, resource.get("id", ""), index(resource, ctx.base)):
        return [Issue("forbidden", f"This access token gives no right to write a {resource_type} like this one.")]
    try:
        await integrity.kept(ctx, resource)
    except FhirError as problem:
        return list(problem.issues)
    return []
