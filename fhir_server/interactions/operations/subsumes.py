"""$subsumes: how two codes of a system stand to each other.
https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error, invalid
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem
from fhir_server.fhir.terminology.need import Need
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import codings, parameters
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.terminology import Terminology


async def run(ctx: Context, call: Call) -> EntryResponse:
    resource = await codings.instance(ctx, call)
    one, other = _codes(call, "codeA", "codingA"), _codes(call, "codeB", "codingB")
    url = _one_system(call, resource, [one, other])
    codes = [one["code"], other["code"]]
    system = await _system(ctx, call, resource, url, codes)
    for code in codes:
        if system.find(code) is None:
            raise codings.unknown_code(code, system)
    if not system.whole:
        raise codings.unknown_code(codes[0], system)
    return parameters.values([("outcome", "code", system.subsumption(*codes))])


def _codes(call: Call, code: str, coding: str) -> Resource:
    """A coding, of which a code is the short form."""
    given = call.given.one(code), call.given.one(coding)
    if (given[0] is None) == (given[1] is None):
        raise error("required", f"$subsumes needs {code} or {coding}, one of both.")
    found: Resource = {"code": given[0]} if given[0] is not None else given[1]
    if "code" not in found:
        raise error("required", f"The {coding} has no code.")
    return found


def _one_system(call: Call, resource: Resource | None, asked: list[Resource]) -> str:
    stated = [each["system"] for each in asked if "system" in each]
    named = [call.given.one("system"), *stated, resource.get("url") if resource else None]
    found = {each for each in named if each is not None}
    if len(found) > 1:
        raise invalid(f"$subsumes compares codes of one system, not of {' and '.join(sorted(found))}.")
    if not found:
        raise parameters.required("subsumes", "system")
    return str(found.pop())


async def _system(ctx: Context, call: Call, resource: Resource | None, url: str, codes: list[str]) -> CodeSystem:
    if resource is not None:
        return await Terminology(ctx.repo).concepts_of(resource, Need(codes=set(codes)))
    return await codings.known_system(ctx, url, call.given.one("version"), Need(codes=set(codes)))
