"""$validate-code: whether a code is in a value set, or in a code system, and called as it is said to be.
https://hl7.org/fhir/R4/valueset-operation-validate-code.html
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem
from fhir_server.fhir.terminology.need import Need
from fhir_server.fhir.terminology.value_set import Member, member_of, name_of
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import codings, expand, parameters
from fhir_server.interactions.operations.codings import Coded
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.terminology import Terminology

NOT_SUPPORTED: Final = ("context", "date")

Find = Callable[[Coded], Member | None]


async def in_value_set(ctx: Context, call: Call) -> EntryResponse:
    codings.unsupported(call, NOT_SUPPORTED)
    asked = codings.asked(call, call.given.one("system"), call.given.one("systemVersion"))
    value_set = await expand.named(ctx, call)
    wanted: dict[str, list[str]] = {}
    for each in asked:
        wanted.setdefault(each.system, []).append(each.code)
    find = await Terminology(ctx.repo).finding(value_set, wanted)
    return _answer(call, asked, lambda each: find(each.system, each.code), f"the value set {name_of(value_set)}")


async def in_code_system(ctx: Context, call: Call) -> EntryResponse:
    codings.unsupported(call, NOT_SUPPORTED)
    resource = await _resource(ctx, call)
    url = call.given.one("url") if resource is None else resource.get("url", "")
    asked = codings.asked(call, url, call.given.one("version"))
    system = await _system(ctx, call, resource, url or asked[0].system, Need(codes={each.code for each in asked}))
    return _answer(call, asked, lambda each: _found(system, each), f"the code system {system.url}")


async def _resource(ctx: Context, call: Call) -> Resource | None:
    way = codings.only(call, ("url", "codeSystem"))
    if way == "codeSystem":
        sent: Resource = call.given.one("codeSystem")
        return sent
    if way is None and not call.resource_id and call.given.one("code") is not None:
        raise parameters.required(call.operation.code, "url")
    return await codings.instance(ctx, call)


async def _system(ctx: Context, call: Call, resource: Resource | None, url: str, codes: Need) -> CodeSystem:
    if resource is not None:
        return await Terminology(ctx.repo).concepts_of(resource, codes)
    return await codings.known_system(ctx, url, call.given.one("version"), codes)


def _found(system: CodeSystem, asked: Coded) -> Member | None:
    if asked.system != system.url:
        return None
    concept = system.find(asked.code)
    if concept is None and not system.whole:
        raise codings.unknown_code(asked.code, system)
    return member_of(system, concept) if concept else None


def _answer(call: Call, asked: list[Coded], find: Find, where: str) -> EntryResponse:
    """One right coding is enough; of what is wrong everything is said."""
    faults: list[str] = []
    for each in asked:
        member = find(each)
        fault = _fault(call, each, member, where)
        if member is not None and fault is None:
            shown = expand.in_language(member, call.given.one("displayLanguage"))
            display = [("display", "string", shown.display)] if shown.display else []
            return parameters.values([("result", "boolean", True), *display])
        faults.append(fault or "")
        display = [("display", "string", member.display)] if member and member.display else []
    said = ("message", "string", " ".join(faults))
    return parameters.values([("result", "boolean", False), said, *(display if len(asked) == 1 else [])])


def _fault(call: Call, asked: Coded, member: Member | None, where: str) -> str | None:
    if member is None:
        return f"The code '{asked.code}' of {asked.system} is not in {where}."
    if asked.version and member.version and asked.version != member.version:
        return f"The code '{asked.code}' is known in version {member.version} of {asked.system}, not {asked.version}."
    if member.abstract and call.given.one("abstract") is False:
        return f"The code '{asked.code}' is abstract: it groups others and is not chosen itself."
    if asked.display is not None and not codings.same_display(asked.display, member):
        return f"The code '{asked.code}' is called '{member.display}', not '{asked.display}'."
    return None
