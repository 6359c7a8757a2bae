"""Which concepts a filter of a value set keeps.  https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from fhir_server.fhir.outcome import bad_value, not_supported
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem, Concept

Keep = Callable[[Concept], bool]

ITSELF = frozenset({"concept", "code"})
"""How filters name the concept itself. https://hl7.org/fhir/R4/codesystem.html#filters"""

MAX_REGEX = 200
MAX_REPEATS = 3
"""Of these in a row an expression is still matched in reasonable time."""

_OWN: dict[str, Callable[[Concept], list[object]]] = {
    "concept": lambda concept: [concept.code],
    "code": lambda concept: [concept.code],
    "display": lambda concept: [concept.display] if concept.display is not None else [],
    "definition": lambda concept: [concept.definition] if concept.definition is not None else [],
    "parent": lambda concept: list(concept.parents),
    "inactive": lambda concept: [concept.inactive],
    "notSelectable": lambda concept: [concept.abstract],
}
"""Properties that every concept has, whether its system declares them or not."""


def condition(system: CodeSystem, wanted: Resource) -> Keep:
    """A filter as a test of concepts; refused where what it asks cannot be known."""
    operator = wanted.get("op", "")
    if operator not in _OPERATORS:
        raise not_supported(
            f"The filter operator '{operator}' is not supported. Supported are {', '.join(_OPERATORS)}."
        )
    return _OPERATORS[operator](system, wanted.get("property", ""), wanted.get("value", ""))


def _values(system: CodeSystem, name: str) -> Callable[[Concept], list[str]]:
    """The values of a property as a filter writes them."""
    if name in _OWN:
        own = _OWN[name]
        return lambda concept: [_written(each) for each in own(concept)]
    if name not in system.properties:
        raise not_supported(f"The code system {system.url} has no property '{name}' that a filter could ask for.")
    return lambda concept: [_written(each) for each in concept.values(name)]


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_hierarchy(name: str) -> None:
    if name not in ITSELF:
        raise not_supported(f"A filter along the hierarchy asks for the property 'concept', not '{name}'.")


def _known(system: CodeSystem, code: str) -> str:
    if system.find(code) is None:
        raise bad_value(f"A filter asks for the code '{code}', which {system.url} does not have.")
    return code


def _is_a(system: CodeSystem, name: str, value: str) -> Keep:
    _of_hierarchy(name)
    top = _known(system, value)
    return lambda concept: system.subsumes(top, concept.code)


def _descendent_of(system: CodeSystem, name: str, value: str) -> Keep:
    at_or_below = _is_a(system, name, value)
    return lambda concept: at_or_below(concept) and not system.subsumes(concept.code, value)


def _is_not_a(system: CodeSystem, name: str, value: str) -> Keep:
    at_or_below = _is_a(system, name, value)
    return lambda concept: not at_or_below(concept)


def _generalizes(system: CodeSystem, name: str, value: str) -> Keep:
    _of_hierarchy(name)
    bottom = _known(system, value)
    return lambda concept: system.subsumes(concept.code, bottom)


def _equals(system: CodeSystem, name: str, value: str) -> Keep:
    values = _values(system, name)
    return lambda concept: value in values(concept)


def _in(system: CodeSystem, name: str, value: str) -> Keep:
    values, wanted = _values(system, name), _listed(value)
    return lambda concept: not wanted.isdisjoint(values(concept))


def _not_in(system: CodeSystem, name: str, value: str) -> Keep:
    among = _in(system, name, value)
    return lambda concept: not among(concept)


def _listed(value: str) -> frozenset[str]:
    return frozenset(each.strip() for each in value.split(","))


def _exists(system: CodeSystem, name: str, value: str) -> Keep:
    if value not in ("true", "false"):
        raise bad_value(f"The filter 'exists' of '{name}' has the value '{value}'; it is true or false.")
    values = _values(system, name)
    return lambda concept: bool(values(concept)) == (value == "true")


def _regex(system: CodeSystem, name: str, value: str) -> Keep:
    """The whole value has to match."""
    values, pattern = _values(system, name), _pattern(value)
    return lambda concept: any(pattern.fullmatch(each) for each in values(concept))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    if len(text) > MAX_REGEX or _slow(text):
        raise not_supported(
            f"The regular expression '{text[:MAX_REGEX]}' could take too long: repeated groups with repetitions or "
            f"alternatives inside, back references, and more than {MAX_REPEATS} repetitions are not supported."
        )
    try:
        return re.compile(text)
    except re.error as problem:
        raise bad_value(f"The filter has '{text}', which is not a regular expression: {problem}.") from problem


_PIECES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!]?|.", re.DOTALL)
"""Escapes, character classes, the beginnings of groups, and single characters."""


def _slow(text: str) -> bool:
    """Whether an expression might need more than a few passes over what it is matched with."""
    depths: list[bool] = [False]
    """For each open group whether it has a repetition or alternatives inside."""
    repeats = 0
    closed = False
    for piece in _PIECES.findall(text):
        repeated = piece in ("*", "+", "{")
        if (repeated and closed) or _refers_back(piece):
            return True
        closed = piece == ")" and depths[-1]
        if piece.startswith("(") and len(depths) < MAX_REGEX:
            depths.append(False)
        elif piece == ")" and len(depths) > 1:
            inner = depths.pop()
            depths[-1] |= inner
        elif repeated or piece in ("|", "?"):
            depths[-1] = True
            repeats += repeated
    return repeats > MAX_REPEATS


def _refers_back(piece: str) -> bool:
    return piece == "(?" or (len(piece) == 2 and piece[0] == "\\" and piece[1] in "123456789")


_OPERATORS: dict[str, Callable[[CodeSystem, str, str], Keep]] = {
    "=": _equals,
    "is-a": _is_a,
    "descendent-of": _descendent_of,
    "is-not-a": _is_not_a,
    "regex": _regex,
    "in": _in,
    "not-in": _not_in,
    "generalizes": _generalizes,
    "exists": _exists,
}
