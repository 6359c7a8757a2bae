"""Tokens by value set and by hierarchy: `:in`, `:not-in`, `:below`, `:above`.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fhir_server.fhir.outcome import bad_value, not_supported, too_costly
from fhir_server.search.lookup import MOST, Lookup
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import NOTHING, Asked, Term, none_of
from fhir_server.search.types import token
from fhir_server.search.values import unescape

TYPES = frozenset({"Coding", "CodeableConcept", "code"})
"""What has codes of code systems."""

Read = Callable[[str], str]


def _value_set(text: str) -> str:
    return unescape(text)


def _code(text: str) -> str:
    system, code = token.parse(text)
    if not system or not code:
        raise bad_value(f"'{text}' is not written as system|code: only a system has a hierarchy.")
    return f"{system}|{code}"


def _points(relation: str, read: Read, parameter: Parameter, values: Sequence[str], asked: Asked) -> list[str]:
    """The entries of the codes, each once; a system that is case-insensitive is compared as it writes its codes."""
    if TYPES.isdisjoint(parameter.types):
        raise not_supported(f"'{parameter.code}' has no codes of a code system, so ':{relation}' is not supported.")
    found = dict.fromkeys(_entries(relation, read, parameter, values, asked))
    if len(found) > MOST:
        raise too_costly(f"'{parameter.code}:{relation}' comes down to more than {MOST:,} codes.")
    return list(found)


def _entries(relation: str, read: Read, parameter: Parameter, values: Sequence[str], asked: Asked) -> Iterator[str]:
    for value in values:
        for system, code in sorted(asked.codings(Lookup(relation, read(value)))):
            yield from token.points(parameter, system, code)


def _any(relation: str, read: Read) -> Callable[[Parameter, Sequence[str], Asked], Term]:
    def condition(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
        points = _points(relation, read, parameter, values, asked)
        if not points:
            return Term(NOTHING)
        return Term({token.FIELD: points[0] if len(points) == 1 else {"$in": points}}, points=tuple(points))

    return condition


def _not_in(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    """Also what has no code at all. https://hl7.org/fhir/R4/search.html#modifiers"""
    points = _points("in", _value_set, parameter, values, asked)
    return Term({token.FIELD: {"$nin": points}} if points else none_of(NOTHING))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {
    "in": _any("in", _value_set),
    "not-in": _not_in,
    "below": _any("below", _code),
    "above": _any("above", _code),
}
