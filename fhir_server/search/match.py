"""The filters of this room decided in memory, as MongoDB would decide them: for a version that is not stored yet.

https://www.mongodb.com/docs/manual/reference/operator/query/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.search.types import position

Filter = Mapping[str, Any]


def matches(document: Mapping[str, Any], wanted: Filter) -> bool:
    """Whether a document, or the row of an array, satisfies a filter."""
    return all(_holds(document, name, asked) for name, asked in wanted.items())


def _holds(document: Mapping[str, Any], name: str, asked: Any) -> bool:
    if name in _LOGIC:
        return _LOGIC[name](document, asked)
    return _satisfies(document.get(name), asked)


_LOGIC: dict[str, Callable[[Mapping[str, Any], list[Filter]], bool]] = {
    "$and": lambda document, filters: all(matches(document, each) for each in filters),
    "$or": lambda document, filters: any(matches(document, each) for each in filters),
    "$nor": lambda document, filters: not any(matches(document, each) for each in filters),
}


def _satisfies(found: Any, asked: Any) -> bool:
    """Each operator looks at the items of an array on its own, unless it is within an $elemMatch."""
    values = found if isinstance(found, list) else [found]
    if not isinstance(asked, Mapping):
        return asked in values
    return all(_OPERATORS[operator](values, operand) for operator, operand in asked.items())


def _item(value: Any, asked: Filter) -> bool:
    """One item: an object is asked about its fields, a plain value by operators."""
    if isinstance(value, Mapping):
        return matches(value, asked)
    return _satisfies(value, asked)


def _compared(holds: Callable[[Any, Any], bool]) -> Callable[[list[Any], Any], bool]:
    return lambda values, operand: any(value is not None and holds(value, operand) for value in values)


_OPERATORS: dict[str, Callable[[list[Any], Any], bool]] = {
    "$eq": lambda values, operand: operand in values,
    "$ne": lambda values, operand: operand not in values,
    "$in": lambda values, operand: any(value in operand for value in values),
    "$nin": lambda values, operand: not any(value in operand for value in values),
    "$all": lambda values, operand: all(_satisfies(values, each) for each in operand),
    "$not": lambda values, operand: not _satisfies(values, operand),
    "$elemMatch": lambda values, operand: any(value is not None and _item(value, operand) for value in values),
    "$geoWithin": lambda values, operand: any(position.within(value, operand) for value in values),
    "$size": lambda values, operand: len(values) == operand,
    "$regex": _compared(lambda value, pattern: re.search(pattern, value) is not None),
    "$gt": _compared(lambda value, operand: bool(value > operand)),
    "$gte": _compared(lambda value, operand: bool(value >= operand)),
    "$lt": _compared(lambda value, operand: bool(value < operand)),
    "$lte": _compared(lambda value, operand: bool(value <= operand)),
}
