"""The codes that a terminology operation is asked about, however they are given.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.fhir.outcome import FhirError, error, invalid, not_supported
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem
from fhir_server.fhir.terminology.need import Need
from fhir_server.fhir.terminology.value_set import Member, unknown_system
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.terminology import Terminology


@dataclass(frozen=True, slots=True)
class Coded:
    """One code; `at` is the parameter that it came in."""

    system: str
    code: str
    version: str | None = None
    display: str | None = None
    at: str = "code"


def unsupported(call: Call, names: Iterable[str]) -> None:
    """Refuses by name what would change the answer."""
    for each in names:
        if call.given.all(each):
            raise not_supported(f"The parameter '{each}' of ${call.operation.code} is not supported.")


def asked(call: Call, system: str | None, version: str | None = None) -> list[Coded]:
    """The one code, coding or concept; `system` and `version` are those of a bare code."""
    given = [name for name in ("code", "coding", "codeableConcept") if call.given.one(name) is not None]
    if len(given) != 1:
        said = " and ".join(given) or "none of them"
        raise error("required" if not given else "invalid", f"Give one of code, coding or codeableConcept, not {said}.")
    if given == ["code"]:
        if system is None:
            raise error("required", f"${call.operation.code} needs the system of the code.")
        return [Coded(system, call.given.one("code"), version, call.given.one("display"))]
    if given == ["coding"]:
        return [_coding(call.given.one("coding"), "coding")]
    listed = call.given.one("codeableConcept").get("coding", ())
    if not listed:
        raise invalid("The codeableConcept has no coding.")
    return [_coding(each, f"codeableConcept.coding[{place}]") for place, each in enumerate(listed)]


def _coding(coding: Resource, at: str) -> Coded:
    for name in ("system", "code"):
        if name not in coding:
            raise error("required", f"The {at} has no {name}.")
    return Coded(coding["system"], coding["code"], coding.get("version"), coding.get("display"), at)


def same_display(wanted: str, member: Member) -> bool:
    """Case and spaces do not matter; every designation will do."""
    texts = (member.display, *(each.get("value") for each in member.designations))
    return _plain(wanted) in {_plain(each) for each in texts if each}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def unknown_code(code: str, system: CodeSystem) -> FhirError:
    if not system.whole:
        return not_supported(f"'{code}' is not in the part of {system.url} that is here ('{system.content}').")
    return error("not-found", f"The code system {system.url} has no code '{code}'.")


async def instance(ctx: Context, call: Call) -> Resource | None:
    """The resource of the path, where the operation is called on one."""
    if not call.resource_id:
        return None
    return (await ctx.repo.current(call.resource_type, call.resource_id)).resource()


def only(call: Call, names: Iterable[str]) -> str | None:
    """Which one of these ways to name a resource is used; on an instance none of them may be."""
    given = [name for name in names if call.given.one(name) is not None]
    if len(given) + bool(call.resource_id) > 1:
        raise invalid(f"${call.operation.code} is about one {call.resource_type}; it is named more than once.")
    return given[0] if given else None


async def known_system(ctx: Context, url: str, version: str | None, need: Need) -> CodeSystem:
    """A code system with the concepts that are needed."""
    found = await Terminology(ctx.repo).code_system(url, version, need)
    if found is None:
        raise unknown_system(url, version)
    return found
