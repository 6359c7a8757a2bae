"""Composite parameters compiled: the elements that hold their parts together, and the ways to the parts.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import SearchParameter
from fhir_server.search.parameter import Context, Parameter, Part
from fhir_server.search.routes import Place, Route, containers, within
from fhir_server.search.types import composite, number

MOST_PARTS = 3


@cache
def contexts(resource_type: str) -> Mapping[str, tuple[Context, ...]]:
    """By code of a composite parameter. What several find in the same place is indexed once, under one name."""
    known = definitions.search_parameters(resource_type)
    kinds = {each.url: each for each in known.values()}
    found = {
        code: tuple(
            each
            for place in containers(resource_type, definition)
            for each in _at(resource_type, place, definition, kinds)
        )
        for code, definition in known.items()
        if definition.type == "composite"
    }
    return MappingProxyType({code: _shared(each, found) for code, each in found.items() if each})


def _at(
    resource_type: str, place: Place, definition: SearchParameter, kinds: Mapping[str, SearchParameter]
) -> list[Context]:
    """Nothing where a part is not there, or is of a type that cannot be combined."""
    named = [kinds[each.url] for each in definition.components]
    found = [within(place, resource_type, each.expression) for each in definition.components]
    parts = [_part(each, *ways, named) for each, ways in zip(named, found, strict=True)]
    if not all(part.parameter.routes for part in parts) or not _combine(parts):
        return []
    return [Context(definition.code, place.route.steps, tuple(parts))]


def _combine(parts: list[Part]) -> bool:
    first, _, *others = (part.parameter for part in parts)
    return first.kind == "token" and all(each.types <= number.WHOLE for each in others) and len(parts) <= MOST_PARTS


def _part(own: SearchParameter, whole: bool, found: tuple[Route, ...], named: Sequence[SearchParameter]) -> Part:
    """As the parameter that it names or, R4 having two in the wrong order, as the other one whose type fits it."""
    for each in (own, *named):
        kept = tuple(route for route in found if route.type in composite.INDEX.get(each.type, ()) and _plain(route))
        if kept:
            break
    types = frozenset(route.type for route in kept)
    targets = tuple(sorted({target for route in kept for target in route.targets} or definitions.resource_types()))
    return Part(Parameter(each.code, each.type, each.url, kept, types, targets), whole)


def _plain(route: Route) -> bool:
    return not any(step.tests or step.position is not None for step in route.steps)


def _shared(own: tuple[Context, ...], every: Mapping[str, tuple[Context, ...]]) -> tuple[Context, ...]:
    """Under the name of the narrowest parameter that finds the same in the same place."""
    return tuple(replace(each, name=_narrowest(each, every)) for each in own)


def _narrowest(context: Context, every: Mapping[str, tuple[Context, ...]]) -> str:
    sharing = [code for code, found in every.items() if any(_same(context, each) for each in found)]
    return min(sharing, key=lambda code: (len(every[code]), code))


def _same(one: Context, other: Context) -> bool:
    return one.steps == other.steps and [_ways(part) for part in one.parts] == [_ways(part) for part in other.parts]


def _ways(part: Part) -> tuple[object, ...]:
    return part.whole, part.parameter.kind, part.parameter.routes
