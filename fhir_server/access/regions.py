"""The resources of a type that a provision is about, as filters on their index.  https://hl7.org/fhir/R4/consent.html

A region is a filter; `{}` is every resource and None is none of them. What a provision says of data is answered twice:
the resources that it may be about, and those that it is about for sure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from fhir_server.access.provision import SELF, Code, Data, Span
from fhir_server.fhir import definitions
from fhir_server.search import registry
from fhir_server.search.blinding import Blinding
from fhir_server.search.clinical_dates import CLINICAL_DATES
from fhir_server.search.labels import ACT_CODE, CONFIDENTIALITY, FIELD, LEVELS, NORMAL, SENSITIVE, SYSTEMS
from fhir_server.search.term import wide

Region = dict[str, Any] | None

RESOURCE_TYPES: Final = frozenset({"http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/fhir-types", ""})
EVERY: Final[dict[str, Any]] = {}

Both = tuple[Region, Region]
"""Where it may hold, where it does for sure."""


def both(one: Region, other: Region) -> Region:
    if one is None or other is None:
        return None
    return {"$and": [one, other]} if one and other else one or other


def either(found: Iterable[Region]) -> Region:
    regions = [each for each in found if each is not None]
    if not regions or not all(regions):
        return EVERY if regions else None
    return regions[0] if len(regions) == 1 else {"$or": regions}


def outside(region: Region) -> Region:
    if region is None:
        return EVERY
    return {"$nor": [region]} if region else None


def of(data: Data, resource_type: str, *, forbids: bool, blinding: Blinding | None = None) -> Both:
    """Of one type, what a provision is about: all that it says has to hold."""
    possible: Region = EVERY
    sure: Region = None if data.unclear else EVERY
    for may, must in _conditions(data, resource_type, forbids, blinding):
        possible, sure = both(possible, may), both(sure, must)
    return possible, sure


def _conditions(data: Data, resource_type: str, forbids: bool, blinding: Blinding | None) -> Iterator[Both]:
    if data.classes is not None:
        yield _classes(data.classes, resource_type)
    if data.codes is not None and not data.unclear:
        found = _codes(data.codes, resource_type, blinding)
        yield found, found
    if data.labels is not None:
        found = either(_labelled(each, upward=forbids) for each in data.labels)
        yield found, found
    if data.instances is not None and not data.unclear:
        yield _instances(data.instances, resource_type)
    if data.dates is not None:
        yield _dates(data.dates, resource_type)


def _classes(wanted: tuple[Code, ...], resource_type: str) -> Both:
    """A class that is no resource type may be anything."""
    if any(system in RESOURCE_TYPES and code == resource_type for system, code in wanted):
        return EVERY, EVERY
    return (EVERY if any(system not in RESOURCE_TYPES for system, _ in wanted) else None), None


def _codes(wanted: tuple[Code, ...], resource_type: str, blinding: Blinding | None) -> Region:
    """A code in any element that a token parameter indexes, as the tenant stores it."""
    entries = [f"{name}={system}|{code}" for name in token_parameters(resource_type) for system, code in wanted]
    if blinding is not None:
        entries = list(blinding.tokens(entries, blinding.treatments(resource_type, registry.parameters(resource_type))))
    return {"tok": {"$in": entries}} if entries else None


@cache
def token_parameters(resource_type: str) -> tuple[str, ...]:
    known = definitions.search_parameters(resource_type)
    return tuple(sorted(name for name, each in known.items() if each.type == "token" and not name.startswith("_")))


def _labelled(wanted: Code, *, upward: bool) -> Region:
    """What is permitted up to a confidentiality is so below it; what is forbidden from one on is so above it.

    https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision.securityLabel
    """
    system, code = SYSTEMS.get(wanted[0], wanted[0]), wanted[1]
    if system == CONFIDENTIALITY and code in LEVELS:
        place = LEVELS.index(code)
        return _levels(LEVELS[place:] if upward else LEVELS[: place + 1])
    if system == ACT_CODE and code in SENSITIVE:
        return {FIELD: code}
    return {"tok": f"_security={wanted[0]}|{code}"}


def _levels(levels: tuple[str, ...]) -> Region:
    """What is normal has no entry."""
    others = [each for each in LEVELS if each not in levels]
    return {FIELD: {"$nin": others}} if NORMAL in levels else {FIELD: {"$in": list(levels)}}


def _instances(wanted: tuple[tuple[str, str], ...], resource_type: str) -> Both:
    """The resource that is named, and where more is meant, at least all that refers to it."""
    named = [each.partition("/_history/")[0].partition("/") for _, each in wanted]
    ids = [name for kind, _, name in named if kind == resource_type]
    itself: Region = {"id": {"$in": ids}} if ids else None
    more = [reference.partition("/_history/")[0] for meaning, reference in wanted if meaning != SELF]
    entries = [f"{name}={each}" for name in _reference_parameters(resource_type) for each in more]
    return either([itself, {"tok": {"$in": entries}} if entries else None]), itself


@cache
def _reference_parameters(resource_type: str) -> tuple[str, ...]:
    known = definitions.search_parameters(resource_type)
    return tuple(sorted(name for name, each in known.items() if each.type == "reference"))


def _dates(wanted: Span, resource_type: str) -> Both:
    """By the main date of a type: what reaches into the period, and what lies in it. A type without one may be."""
    code = CLINICAL_DATES.get(resource_type)
    if code is None:
        return EVERY, None
    names = {"$in": [code, wide(code)]}
    within: dict[str, Any] = {"p": names}
    touching: dict[str, Any] = {"p": names}
    if wanted.low is not None:
        within["s"], touching["e"] = {"$gte": wanted.low}, {"$gt": wanted.low}
    if wanted.high is not None:
        within["e"], touching["s"] = {"$lte": wanted.high}, {"$lt": wanted.high}
    dated = {"dat": {"$elemMatch": {"p": names}}}
    undated = {"$nor": [dated]}
    return {"$or": [{"dat": {"$elemMatch": touching}}, undated]}, {"dat": {"$elemMatch": within}}
