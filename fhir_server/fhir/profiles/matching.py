"""Whether a value is a fixed one, or has all that a pattern has.  https://hl7.org/fhir/R4/elementdefinition.html

`fixed[x]` asks for the same value, `pattern[x]` for at least what it states: of an array, each of its items somewhere.
"""

from __future__ import annotations

from typing import Any


def is_same(value: Any, fixed: Any) -> bool:
    if isinstance(fixed, dict):
        return (
            isinstance(value, dict) and value.keys() == fixed.keys() and all(is_same(value[k], fixed[k]) for k in fixed)
        )
    if isinstance(fixed, list):
        return isinstance(value, list) and len(value) == len(fixed) and all(map(is_same, value, fixed))
    return _is_equal(value, fixed)


def has_all(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            name in value and has_all(value[name], pattern[name]) for name in pattern
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(has_all(one, each) for one in value) for each in pattern)
    return _is_equal(value, pattern)


def _is_equal(value: Any, stated: Any) -> bool:
    """`true` is no number, and 1.0 is 1.00."""
    return bool(value == stated) and isinstance(value, bool) == isinstance(stated, bool)


def parts(stated: Any, names: tuple[str, ...]) -> list[Any]:
    """What a fixed value or a pattern states below a path; arrays count as their items."""
    found = [stated]
    for name in names:
        found = [each[name] for each in found if isinstance(each, dict) and name in each]
        found = [one for each in found for one in (each if isinstance(each, list) else [each])]
    return found
