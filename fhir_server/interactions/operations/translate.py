"""$translate: what a code becomes in another system.  https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error, too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.concept_map import MapLookup, Match, reverse, translate
from fhir_server.fhir.terminology.value_set import canonical
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import codings, parameters
from fhir_server.interactions.operations.codings import Coded
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.operations.parameters import part
from fhir_server.interactions.terminology import Terminology

NOT_SUPPORTED: Final = ("version", "dependency")
MOST: Final = 100
"""Concept maps that may continue each other."""


async def run(ctx: Context, call: Call) -> EntryResponse:
    codings.unsupported(call, NOT_SUPPORTED)
    asked = codings.asked(call, call.given.one("system"))
    maps = await _maps(ctx, call, asked)
    others = await _others(ctx, maps)
    found = [each for concept_map in maps for one in asked for each in _matches(call, concept_map, one, others)]
    wanted = call.given.one("targetsystem")
    matches = list(dict.fromkeys(each for each in found if wanted is None or each.system in (wanted, None)))
    return parameters.answer(_answer(asked, matches))


def _matches(call: Call, concept_map: Resource, asked: Coded, others: MapLookup) -> list[Match]:
    if call.given.one("reverse"):
        return reverse(concept_map, asked.system, asked.code)
    return translate(concept_map, asked.system, asked.code, others)


def _answer(asked: list[Coded], matches: list[Match]) -> list[Resource]:
    found = any(each.matches for each in matches)
    said = [] if found else [part("message", "string", f"Nothing is known that '{asked[0].code}' could become.")]
    return [part("result", "boolean", found), *said, *({"name": "match", "part": _parts(each)} for each in matches)]


def _parts(match: Match) -> list[Resource]:
    coding = {"system": match.system, "version": match.version, "code": match.code, "display": match.display}
    stated = {name: value for name, value in coding.items() if value is not None}
    concept = [part("concept", "Coding", stated)] if match.code is not None else []
    source = [part("source", "uri", match.source)] if match.source else []
    return [part("equivalence", "code", match.equivalence), *concept, *source]


async def _maps(ctx: Context, call: Call, asked: list[Coded]) -> list[Resource]:
    """The map that is named, or every map of the systems that are asked about."""
    way = codings.only(call, ("url", "conceptMap"))
    if way == "conceptMap":
        return [call.given.one("conceptMap")]
    terminology = Terminology(ctx.repo)
    if way == "url":
        return [await _named(terminology, call)]
    instance = await codings.instance(ctx, call)
    if instance is not None:
        return [instance]
    backwards = call.given.one("reverse") is True
    found = await terminology.concept_maps({each.system for each in asked}, backwards=backwards)
    return [each for each in found if _between(call, each)]


async def _named(terminology: Terminology, call: Call) -> Resource:
    url, version = canonical(call.given.one("url"))
    found = await terminology.concept_map(url, call.given.one("conceptMapVersion") or version)
    if found is None:
        raise error("not-found", f"The concept map {call.given.one('url')} is not known here.")
    return found


def _between(call: Call, concept_map: Resource) -> bool:
    """Whether a map is of the value sets that are asked for."""
    return all(
        call.given.one(name) in (None, concept_map.get(f"{name}Uri"), concept_map.get(f"{name}Canonical"))
        for name in ("source", "target")
    )


async def _others(ctx: Context, maps: Iterable[Resource]) -> MapLookup:
    """The maps that these maps continue with."""
    terminology = Terminology(ctx.repo)
    found: dict[str, Resource] = {}
    waiting = list(maps)
    while waiting:
        for group in waiting.pop().get("group", ()):
            url = group.get("unmapped", {}).get("url")
            other = await terminology.concept_map(*canonical(url)) if url and url not in found else None
            if other is not None:
                found[url] = other
                waiting.append(other)
        if len(found) > MOST:
            raise too_costly(f"The concept maps continue with more than {MOST} others.")
    return found.get
