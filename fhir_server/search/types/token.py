"""Search type token: entries `code:value` (any system), `code=system|value` and `code=|value` (no system) in `tok`.

The text beside a code goes to `str` for `:text`; an identifier with a type adds `code~type-system|type-code|value`. A
value of type `code` has only the bare entry: its system follows from the binding, so `system|code` is decided when it
is asked.
https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fhir_server.fhir.outcome import bad_value
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of, entry_range, none_of
from fhir_server.search.types import string
from fhir_server.search.values import parts

FIELD = "tok"

Coded = tuple[str, str]

_DIALLED = re.compile(r"\+?[\d\s().\-/]+\Z")
_PUNCTUATION = re.compile(r"[\s().\-/]+")


def contact(value: str) -> str:
    """A phone number without its punctuation, any other contact without case."""
    return _PUNCTUATION.sub("", value) if _DIALLED.match(value) else value.strip().casefold()


def _pair(system: str | None, value: str) -> list[str]:
    return [f":{value}", f"={system or ''}|{value}"]


def _plain(value: Any) -> list[str]:
    return [f":{value}"]


def _boolean(value: bool) -> list[str]:
    return [":true" if value else ":false"]


def _coding(value: dict[str, Any]) -> list[str]:
    code, system = value.get("code"), value.get("system")
    if code is None:
        return [f"={system}|"] if system else []
    return _pair(system, code)


def _concept(value: dict[str, Any]) -> list[str]:
    return [entry for coding in value.get("coding", ()) for entry in _coding(coding)]


def _identifier(value: dict[str, Any]) -> list[str]:
    found, system = value.get("value"), value.get("system")
    if found is None:
        return [f"={system}|"] if system else []
    kinds = value.get("type", {}).get("coding", ())
    return _pair(system, found) + [f"~{kind.get('system', '')}|{kind.get('code', '')}|{found}" for kind in kinds]


def _contact(value: dict[str, Any]) -> list[str]:
    found = value.get("value")
    return _pair(value.get("system"), contact(found)) if found is not None else []


INDEX: dict[str, Callable[[Any], list[str]]] = {
    "Coding": _coding,
    "CodeableConcept": _concept,
    "Identifier": _identifier,
    "ContactPoint": _contact,
    "boolean": _boolean,
    **dict.fromkeys(("code", "string", "id", "uri", "url", "canonical", "oid", "uuid", "integer"), _plain),
}
"""Entries of a value by its FHIR type."""


def _coded(value: dict[str, Any]) -> list[Coded]:
    found = (value.get("system", ""), value.get("code", ""))
    return [found] if any(found) else []


CODINGS: dict[str, Callable[[Any], list[Coded]]] = {
    "Coding": _coded,
    "CodeableConcept": lambda value: [found for each in value.get("coding", ()) for found in _coded(each)],
    "boolean": lambda value: [("", "true" if value else "false")],
    **dict.fromkeys(("code", "string"), lambda value: [("", value)]),
}
"""System and code, each empty where there is none, by FHIR type: what composites combine."""


def _coding_text(value: dict[str, Any]) -> list[str]:
    return _folded(value.get("display"))


def _concept_text(value: dict[str, Any]) -> list[str]:
    found = _folded(value.get("text"))
    for coding in value.get("coding", ()):
        found += _folded(coding.get("display"))
    return found


def _identifier_text(value: dict[str, Any]) -> list[str]:
    return _folded(value.get("type", {}).get("text"))


def _folded(text: str | None) -> list[str]:
    plain = string.folded(text) if text else ""
    return [f":{plain}"] if plain else []


TEXT: dict[str, Callable[[Any], list[str]]] = {
    "Coding": _coding_text,
    "CodeableConcept": _concept_text,
    "Identifier": _identifier_text,
}
"""Entries in `str` of the text beside a code, by FHIR type."""


def parse(text: str) -> tuple[str | None, str]:
    """System and code: no system asked for is None, asked not to have one is empty; an empty code is any code."""
    found = parts(text)
    if len(found) > 2 or found in (["", ""], [""]):
        raise bad_value(f"The token '{text}' is not written as code, system|code, |code or system|.")
    return (None, found[0]) if len(found) == 1 else (found[0], found[1])


def _wanted(parameter: Parameter, values: Sequence[str]) -> tuple[list[str], list[str]]:
    """Exact entries, and systems of which any code will do."""
    found: list[str] = []
    systems: list[str] = []
    for system, code in map(parse, values):
        if code:
            found += points(parameter, system, code)
        elif system:
            systems.append(system)
            found += [f"{parameter.code}:{each}" for each in parameter.codes_of(system)]
    return found, systems


def points(parameter: Parameter, system: str | None, code: str) -> Iterator[str]:
    """The entries of a code."""
    if "ContactPoint" in parameter.types:
        code = contact(code)
    if system is None or parameter.implies(system, code):
        yield f"{parameter.code}:{code}"
    elif not parameter.bare:
        yield f"{parameter.code}={system}|{code}"


def _any(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    exact, systems = _wanted(parameter, values)
    filters: list[Filter] = [_range(parameter.code, system) for system in systems if not parameter.bare]
    if not filters or exact:
        filters.append({FIELD: exact[0] if len(exact) == 1 else {"$in": exact}})
    return Term(any_of(filters), points=tuple(exact) if len(filters) == 1 and exact else ())


def _range(code: str, system: str) -> Filter:
    return entry_range(FIELD, f"{code}={system}|", f"{code}={system}}}")


def _none(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    wanted = _any(parameter, values, asked)
    if wanted.points:
        return Term({FIELD: {"$nin": list(wanted.points)}})
    return Term(none_of(wanted.filter))


def _text(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return string.starting(parameter.code, [string.parse(value) for value in values])


def _of_type(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    exact = [f"{parameter.code}~{'|'.join(_typed(value))}" for value in values]
    return Term({FIELD: exact[0] if len(exact) == 1 else {"$in": exact}}, points=tuple(exact))


def _typed(text: str) -> list[str]:
    found = parts(text)
    if len(found) != 3 or not all(found):
        raise bad_value(f"'{text}' is not written as type-system|type-code|value, as :of-type asks.")
    return found


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {
    "": _any,
    "not": _none,
    "text": _text,
    "of-type": _of_type,
}
