"""$lookup: what is known about a code.  https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import invalid
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem, Concept
from fhir_server.fhir.terminology.need import Need
from fhir_server.fhir.terminology.value_set import member_of
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import codings, expand, parameters
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.operations.parameters import part

ALWAYS: Final = frozenset({"system", "name", "version", "display", "code"})
"""Properties that are in every answer."""


async def run(ctx: Context, call: Call) -> EntryResponse:
    codings.unsupported(call, ("date",))
    if call.given.one("coding") is not None and call.given.one("system") is not None:
        raise invalid("Give the system in the coding, or with the code, not both.")
    (asked,) = codings.asked(call, call.given.one("system"), call.given.one("version"))
    need = Need(codes={asked.code}, children={asked.code})
    system = await codings.known_system(ctx, asked.system, asked.version, need)
    concept = system.find(asked.code)
    if concept is None:
        raise codings.unknown_code(asked.code, system)
    member = expand.in_language(member_of(system, concept), call.given.one("displayLanguage"))
    found = [part("name", "string", system.name)]
    if system.version:
        found.append(part("version", "string", system.version))
    found.append(part("display", "string", member.display or member.code))
    return parameters.answer([*found, *_details(system, concept, _wanted(call, system))])


def _wanted(call: Call, system: CodeSystem) -> frozenset[str] | None:
    """Names of properties; everything where none is named."""
    named = frozenset(call.given.all("property"))
    known = {*ALWAYS, *_OWN, "designation", *system.properties}
    for each in sorted(named):
        if each not in known and not each.startswith("lang."):
            raise invalid(f"{system.url} has no property '{each}'; there are {', '.join(sorted(known))}.")
    return named or None


def _details(system: CodeSystem, concept: Concept, wanted: frozenset[str] | None) -> Iterator[Resource]:
    for each in concept.designations:
        if wanted is None or not wanted.isdisjoint({"designation", f"lang.{each.get('language')}"}):
            yield {
                "name": "designation",
                "part": [part(name, _PARTS[name], each[name]) for name in _PARTS if name in each],
            }
    for name, read in _OWN.items():
        if wanted is None or name in wanted:
            yield from (_property(name, f"value{kind}", value) for kind, value in read(system, concept))
    for each in concept.properties:
        if each["code"] not in _OWN and (wanted is None or each["code"] in wanted):
            kind = next(name for name in each if name.startswith("value"))
            yield _property(each["code"], kind, each[kind])


def _property(code: str, kind: str, value: Any) -> Resource:
    return {"name": "property", "part": [part("code", "code", code), {"name": "value", kind: value}]}


_PARTS: Final = {"language": "code", "use": "Coding", "value": "string"}


def _definition(_: CodeSystem, concept: Concept) -> list[tuple[str, Any]]:
    return [("String", concept.definition)] if concept.definition else []


def _inactive(_: CodeSystem, concept: Concept) -> list[tuple[str, Any]]:
    return [("Boolean", concept.inactive)]


def _parents(_: CodeSystem, concept: Concept) -> list[tuple[str, Any]]:
    return [("Code", each) for each in concept.parents]


def _children(system: CodeSystem, concept: Concept) -> list[tuple[str, Any]]:
    return [("Code", each.code) for each in system.concepts.values() if concept.code in each.parents]


_OWN: Final = {"definition": _definition, "inactive": _inactive, "parent": _parents, "child": _children}
"""Properties of every concept. https://hl7.org/fhir/R4/codesystem-concept-properties.html"""
