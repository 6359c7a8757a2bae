"""Which concepts a filter of a value set keeps.  https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from fhir_server.fhir.outcome import bad_value, not_supported, too_costly
from fhir_server.fhir.primitives import written
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem, Concept

Keep = Callable[[Concept], bool]

ITSELF = frozenset({"concept", "code"})
"""How filters name the concept itself. https://hl7.org/fhir/R4/codesystem.html#filters"""

MAX_REGEX = 200
MAX_CHOICES = 3
"""Places where a match may go on in more than one way: with few of them time is a power of the length."""

MAX_STEPS = 20_000_000
"""Steps that all matches of one filter may take together, at most."""

FEW = 8
"""Concepts after which a branch is listed as a whole."""

_REPEATS = frozenset("*+{?")

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
        return lambda concept: [written(each) for each in own(concept)]
    if name not in system.properties:
        raise not_supported(f"The code system {system.url} has no property '{name}' that a filter could ask for.")
    return lambda concept: [written(each) for each in concept.values(name)]


def _of_hierarchy(name: str) -> None:
    if name not in ITSELF:
        raise not_supported(f"A filter along the hierarchy asks for the property 'concept', not '{name}'.")


def _known(system: CodeSystem, code: str) -> str:
    """The code as its system writes it."""
    found = system.find(code)
    if found is None:
        raise bad_value(f"A filter asks for the code '{code}', which {system.url} does not have.")
    return found.code


class _Branch:
    """Whether concepts are at or below a code: looked at from below for a few, listed once for many."""

    def __init__(self, system: CodeSystem, top: str):
        self._system, self._top = system, top
        self._asked = 0
        self._listed: frozenset[str] | None = None

    def __call__(self, concept: Concept) -> bool:
        self._asked += 1
        if self._listed is None and self._asked > FEW:
            self._listed = self._system.branch(self._top)
        if self._listed is not None:
            return concept.code in self._listed
        return self._system.subsumes(self._top, concept.code)


def _is_a(system: CodeSystem, name: str, value: str) -> Keep:
    _of_hierarchy(name)
    return _Branch(system, _known(system, value))


def _descendent_of(system: CodeSystem, name: str, value: str) -> Keep:
    top, at_or_below = _known(system, value), _is_a(system, name, value)
    return lambda concept: concept.code != top and at_or_below(concept)


def _is_not_a(system: CodeSystem, name: str, value: str) -> Keep:
    at_or_below = _is_a(system, name, value)
    return lambda concept: not at_or_below(concept)


def _generalizes(system: CodeSystem, name: str, value: str) -> Keep:
    _of_hierarchy(name)
    bottom = _known(system, value)
    system.subsumes(bottom, bottom)
    above = system.ancestors(bottom) | {bottom}
    return lambda concept: concept.code in above


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
    """The whole value has to match; how much is looked through is counted."""
    values, (pattern, choices) = _values(system, name), _pattern(value)
    spent = 0

    def keep(concept: Concept) -> bool:
        nonlocal spent
        found = values(concept)
        spent += sum(len(each) ** max(choices, 1) for each in found)
        if spent > MAX_STEPS:
            raise too_costly(f"The regular expression '{value}' would take too long on {system.url}.")
        return any(pattern.fullmatch(each) for each in found)

    return keep


@cache
def _pattern(text: str) -> tuple[re.Pattern[str], int]:
    """The expression, and at how many of its places a match may go on in more than one way."""
    choices = _choices(text)
    if len(text) > MAX_REGEX or choices is None or choices > MAX_CHOICES:
        raise not_supported(
            f"The regular expression '{text[:MAX_REGEX]}' could take too long: back references, repeated groups with "
            f"choices inside, and more than {MAX_CHOICES} repetitions, options and groups of alternatives are refused."
        )
    try:
        return re.compile(text), choices
    except re.error as problem:
        raise bad_value(f"The filter has '{text}', which is not a regular expression: {problem}.") from problem


_PIECES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!]?|.", re.DOTALL)
"""Escapes, character classes, the beginnings of groups, and single characters."""


def _choices(text: str) -> int | None:
    """How many there are, next to each other; None where one is inside another that repeats."""
    open_groups = [False]
    """For each open group whether there is a choice inside."""
    choices = 0
    closed = False
    for piece in _PIECES.findall(text):
        repeated = piece in _REPEATS
        if (repeated and closed) or _refers_back(piece):
            return None
        closed = piece == ")" and open_groups[-1]
        choices += repeated or closed
        if piece.startswith("("):
            open_groups.append(False)
        elif piece == ")" and len(open_groups) > 1:
            inner = open_groups.pop()
            open_groups[-1] |= inner
        elif repeated or piece == "|":
            open_groups[-1] = True
    return choices


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
