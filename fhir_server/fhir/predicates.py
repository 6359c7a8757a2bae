"""Building blocks for constraints: functions that make a predicate of an element and the resource it stands in.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fhir_server.fhir.primitives import interval_of

Predicate = Callable[[Any, Any], bool]


def has(element: Any, name: str) -> bool:
    """Whether a child is there, by value or by extension alone; `value[x]` asks for any type of value."""
    if not name.endswith("[x]"):
        return name in element or f"_{name}" in element
    start = name.removesuffix("[x]")
    size = len(start)
    names = (each.lstrip("_") for each in element)
    return any(each.startswith(start) and each[size : size + 1].isupper() for each in names)


def any_of(*names: str) -> Predicate:
    return lambda element, _: any(has(element, name) for name in names)


def not_both(name: str, other: str) -> Predicate:
    """Name the rarer one first: the other is looked for only where it is."""
    return lambda element, _: not (has(element, name) and has(element, other))


def one_of(*names: str) -> Predicate:
    return lambda element, _: sum(has(element, name) for name in names) == 1


def all_or_none(*names: str) -> Predicate:
    return lambda element, _: len({has(element, name) for name in names}) == 1


def needs(name: str, other: str) -> Predicate:
    """Where `name` is, the other must be."""
    if other.endswith("[x]") or name.endswith("[x]"):
        return lambda element, _: not has(element, name) or has(element, other)
    extended, other_extended = f"_{name}", f"_{other}"
    return lambda element, _: (
        (name not in element and extended not in element) or other in element or other_extended in element
    )


def only_where(name: str, sibling: str, *values: Any) -> Predicate:
    """`name` may be only where the sibling has one of these values."""
    return lambda element, _: not has(element, name) or element.get(sibling) in values


def not_where(name: str, sibling: str, *values: Any) -> Predicate:
    """`name` may not be where the sibling has one of these values."""
    return lambda element, _: not has(element, name) or element.get(sibling) not in values


def required_where(name: str, sibling: str, *values: Any) -> Predicate:
    """`name` must be where the sibling has one of these values."""
    return lambda element, _: element.get(sibling) not in values or has(element, name)


def every(name: str, predicate: Predicate) -> Predicate:
    return lambda element, root: all(predicate(each, root) for each in element.get(name, ()))


def both(*predicates: Predicate) -> Predicate:
    return lambda element, root: all(each(element, root) for each in predicates)


def distinct(values: Iterable[Any]) -> bool:
    listed = list(values)
    return len(listed) == len(set(listed))


def distinct_by(name: str, *keys: str) -> Predicate:
    """No two of the children `name` agree in these elements; those that have none of them are not compared."""

    def holds(element: Any, _: Any) -> bool:
        found = [tuple(each.get(key) for key in keys) for each in element.get(name, ())]
        return distinct(each for each in found if any(each))

    return holds


def in_order(first: str, last: str) -> Predicate:
    """`last` is not before `first`; partial dates that overlap may be in either order."""

    def holds(element: Any, _: Any) -> bool:
        start, end = element.get(first), element.get(last)
        if start is None or end is None or start == end:
            return True
        low, high = interval_of(start).low, interval_of(end).high
        return low is None or high is None or low < high

    return holds


def at_least_zero(name: str) -> Predicate:
    return lambda element, _: bool(element.get(name, 0) >= 0)


def has_code(concept: Any, system: str, codes: Iterable[str]) -> bool:
    codings = (concept or {}).get("coding", ())
    return any(each.get("system") == system and each.get("code") in codes for each in codings)


def descendants(element: Any, name: str) -> Iterator[Any]:
    """The children `name`, and theirs of the same name."""
    for each in element.get(name, ()):
        yield each
        yield from descendants(each, name)
