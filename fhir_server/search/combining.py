"""Reads the parts of a composite from one element, and combines them into index rows.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.search.parameter import Context, Part
from fhir_server.search.routes import Step
from fhir_server.search.types import composite, token

Combine = Callable[[Any, Mapping[str, Any], str], list[composite.Row]]
Values = Callable[[Any, Mapping[str, Any]], list[tuple[str, Any]]]


def combiner(context: Context) -> Combine:
    """From an element, its resource and the `=` and base that stand before a local reference: the rows."""
    name, kind = context.name, context.parts[1].parameter.kind
    first, second, *others = map(_values, context.parts)
    whole, starts = context.parts[1].whole, {route.steps[0].key for route in context.parts[1].parameter.routes}
    row_of = composite.ROWS[kind]
    count = composite.ROWS["number"]

    def combine(value: Any, resource: Mapping[str, Any], base: str) -> list[composite.Row]:
        # Mostly the value is of another type: to see that is cheaper than to look for it.
        if (resource if whole else value).keys().isdisjoint(starts):
            return []
        seconds = [row for type_name, each in second(value, resource) for row in row_of(type_name, each)]
        if not seconds:
            return seconds
        firsts = [coded for type_name, each in first(value, resource) for coded in token.CODINGS[type_name](each)]
        thirds = [row for other in others for found in other(value, resource) for row in count(*found)]
        local = [_local(row, base[1:]) for row in seconds] if base and kind == "reference" else seconds
        return composite.rows(name, list(dict.fromkeys(firsts)), local, thirds if others else None)

    return combine


def _local(row: composite.Row, base: str) -> composite.Row:
    return {**row, "v": row["v"].removeprefix(base)}


def _values(part: Part) -> Values:
    """Every value of a part, with its FHIR type."""
    ends = [(route.type, route.steps) for route in part.parameter.routes]
    if part.whole:
        return lambda _, resource: [(found, each) for found, steps in ends for each in _reached(resource, steps)]
    return lambda value, _: [(found, each) for found, steps in ends for each in _reached(value, steps)]


def _reached(value: Mapping[str, Any], steps: tuple[Step, ...]) -> list[Any]:
    found = value.get(steps[0].key)
    if found is None:
        return []
    reached = [each for each in found if each is not None] if steps[0].many else [found]
    return reached if len(steps) == 1 else [end for each in reached for end in _reached(each, steps[1:])]
