"""The operators of `_filter` as the conditions that search values make: a table by kind of parameter.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from fhir_server.fhir.outcome import not_supported
from fhir_server.search import registry
from fhir_server.search.blinding import Blinding, check_operator
from fhir_server.search.criteria import treatment
from fhir_server.search.parameter import Parameter
from fhir_server.search.registry import Condition
from fhir_server.search.sensitive import BLINDED
from fhir_server.search.term import LAST, Asked, Term, any_of, entry_range, row, wide
from fhir_server.search.types import date, reference, string, token
from fhir_server.search.values import PREFIXES, unescape

OPERATORS = ("eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "re")


def _as(modifier: str) -> Condition:
    """As a search with this modifier, where the kind of parameter has it."""

    def condition(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
        return registry.MODIFIERS[parameter.kind][modifier](parameter, values, asked)

    return condition


def _prefixed(prefix: str) -> Condition:
    def condition(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
        found = registry.MODIFIERS[parameter.kind][""]
        return found(parameter, [f"{prefix}{value}" for value in values], asked)

    return condition


def _overlapping(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    spans = [date.parse(value)[1] for value in values]
    rows = [date.ROW["ap"](each.low, each.high) for each in spans]
    return Term(any_of([row(date.FIELD, [parameter.code, wide(parameter.code)], each) for each in rows]))


def _beside(code: str, mark: str, taken: Sequence[tuple[str, str]]) -> Term:
    """Some entry that lies in none of these ranges."""
    low, filters = f"{code}{mark}", []
    for start, end in sorted(taken):
        filters.append(entry_range("tok", low, start))
        low = end
    filters.append(entry_range("tok", low, f"{code}{chr(ord(mark) + 1)}"))
    return Term(any_of(filters))


def _another_token(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    """Some code is another one."""
    (text,) = values
    system, code = token.parse(text)
    if parameter.bare or system is None:
        codes = [code] if code else parameter.codes_of(system or "")
        equal = [each for each in codes if system is None or parameter.implies(system, each)]
        return _beside(
            parameter.code, ":", [(f"{parameter.code}:{each}", f"{parameter.code}:{each}\x00") for each in equal]
        )
    start = f"{parameter.code}={system}|{code}"
    return _beside(parameter.code, "=", [(start, f"{start}\x00" if code else f"{parameter.code}={system}}}")])


def _another_reference(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    """Some reference is to another resource; versions of the same are the same."""
    (text,) = values
    same = [
        span
        for point in reference.points(parameter, text, asked)
        for span in ((point, f"{point}\x00"), (f"{point}/_history/", f"{point}/_history0"))
    ]
    return _beside(parameter.code, "=", same)


def _another_uri(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    point = f"{parameter.code}={unescape(values[0])}"
    return _beside(parameter.code, "=", [(point, f"{point}\x00")])


def _beginning(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    low = f"{parameter.code}={unescape(values[0])}"
    return Term(entry_range("tok", low, low + LAST))


def _ending(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    pattern = f"^{re.escape(parameter.code)}=.*{re.escape(unescape(values[0]))}$"
    return Term({"tok": {"$regex": pattern}})


_COMPARED: dict[str, Condition] = {each: _prefixed(each) for each in PREFIXES}

BY_KIND: dict[str, Mapping[str, Condition]] = {
    "string": {
        **{each: string.compared(each) for each in string.COMPARED},
        "co": _as("contains"),
        "sw": _as(""),
        "ew": string.ending,
    },
    "phonetic": {"eq": _as("")},
    "token": {"eq": _as(""), "ne": _another_token, "in": _as("in"), "ss": _as("below"), "sb": _as("above")},
    "reference": {"eq": _as(""), "re": _as(""), "ne": _another_reference},
    "uri": {
        "eq": _as(""),
        "ne": _another_uri,
        "co": _as("contains"),
        "sw": _beginning,
        "ew": _ending,
        "ss": _as("below"),
        "sb": _as("above"),
    },
    "date": {**_COMPARED, "po": _overlapping},
    "number": _COMPARED,
    "quantity": _COMPARED,
    "_lastUpdated": _COMPARED,
    "_id": {"eq": _as(""), "ne": _as("not")},
    "composite": {"eq": _as("")},
    "near": {"eq": _as("")},
}
"""By kind of parameter: what each operator asks. What is not here has no meaning."""


def condition(parameter: Parameter, operator: str) -> Condition:
    able = BY_KIND[parameter.kind]
    if operator in able:
        return able[operator]
    raise not_supported(
        f"The operator '{operator}' is not supported on '{parameter.code}', which is of type {parameter.kind}. "
        f"Supported are {', '.join(able)}{'' if parameter.kind == 'composite' else ', pr'}."
    )


Found = Callable[[Parameter], Term]


def asks(operator: str, value: str, asked: Asked, resource_type: str) -> Found:
    """What an operator and its value ask of a parameter; `pr` is for whoever knows what is missing."""

    def found(parameter: Parameter) -> Term:
        how, own = treatment(parameter, resource_type, asked), asked.on(resource_type)
        wanted = condition(parameter, operator)
        check_operator(parameter, how, operator)
        if own.blinding and how == "string":
            return _OF_WORDS[operator](own.blinding, parameter.code, [string.parse(value)])
        term = wanted(parameter, [value], own)
        return own.blinding.term(parameter, term) if own.blinding and how in BLINDED else term

    return found


_OF_WORDS: dict[str, Callable[[Blinding, str, Sequence[str]], Term]] = {
    "eq": Blinding.equal,
    "sw": Blinding.starting,
}
