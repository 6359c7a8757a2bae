"""Which search parameters of an encrypted tenant hold what must not be read: policy as data, one for each tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import bad_value
from fhir_server.search.parameter import Parameter

Treatment = Literal["string", "phonetic", "token", "identifier", "text", "composite"]
"""How the entries of a parameter are blinded: `identifier` is of references, `text` the text beside readable codes."""

BLINDED: frozenset[str] = frozenset({"string", "phonetic", "token"})
"""Treatments of parameters no value of which can be read."""

LONGEST = 64
_KINDS = frozenset({"string", "phonetic"})


@dataclass(frozen=True, slots=True)
class Policy:
    """The rows of `sensitive.yaml`."""

    kinds: frozenset[str]
    values: frozenset[str]
    codes: frozenset[str]
    clear: frozenset[str]
    clear_types: frozenset[str]
    texts: str
    normalised: frozenset[str]
    prefix: int

    def treatment(self, resource_type: str, parameter: Parameter) -> Treatment | None:
        """None where the entries stay readable."""
        if resource_type in self.clear_types or _named(resource_type, parameter, self.clear):
            return None
        found = _BY_KIND.get(parameter.kind, _readable)
        return found(self, resource_type, parameter)


def _texts(policy: Policy, _: str, parameter: Parameter) -> Treatment | None:
    if parameter.kind not in policy.kinds:
        return None
    return "string" if parameter.kind == "string" else "phonetic"


def _token(policy: Policy, resource_type: str, parameter: Parameter) -> Treatment | None:
    if policy.values & parameter.types or _named(resource_type, parameter, policy.codes):
        return "token"
    return "text" if policy.texts == "off" else None


def _reference(policy: Policy, _: str, __: Parameter) -> Treatment | None:
    return "identifier" if "Identifier" in policy.values else None


def _composite(policy: Policy, _: str, parameter: Parameter) -> Treatment | None:
    return "composite" if "string" in policy.kinds and parameter.parts[1].kind == "string" else None


def _readable(_: Policy, __: str, ___: Parameter) -> Treatment | None:
    return None


_BY_KIND = {
    "string": _texts,
    "phonetic": _texts,
    "token": _token,
    "reference": _reference,
    "composite": _composite,
}


def _named(resource_type: str, parameter: Parameter, names: frozenset[str]) -> bool:
    return parameter.code in names or f"{resource_type}.{parameter.code}" in names


@cache
def default() -> Policy:
    return of(yaml.safe_load(files("fhir_server.search").joinpath("sensitive.yaml").read_text()))


def of(data: Mapping[str, Any]) -> Policy:
    """What a tenant says of its own stands in the place of the default, row by row."""
    names = [each.name for each in fields(Policy)]
    for name in data:
        if name not in names:
            raise bad_value(f"'{name}' is no row of a policy on search parameters; {', '.join(names)} are.")
    rows = {**(as_data(default()) if len(data) < len(names) else {}), **data}
    _check(rows)
    sets = {name: frozenset(rows[name]) for name in names if name not in ("texts", "prefix")}
    return Policy(**sets, texts=rows["texts"], prefix=rows["prefix"])


def as_data(policy: Policy) -> dict[str, Any]:
    """As it is stored."""
    found = {each.name: getattr(policy, each.name) for each in fields(Policy)}
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in found.items()}


def _check(rows: Mapping[str, Any]) -> None:
    for name, value in rows.items():
        if name not in ("texts", "prefix") and not _lists(value):
            raise bad_value(f"'{name}' of a policy on search parameters is a list of words, not {value!r}.")
    if not _KINDS.issuperset(rows["kinds"]):
        raise bad_value(f"Parameters of the kinds {', '.join(sorted(_KINDS))} can be blinded, not {rows['kinds']}.")
    if unknown := set(rows["clear_types"]) - definitions.resource_types():
        raise bad_value(f"{', '.join(sorted(unknown))} in 'clear_types' is no resource type.")
    if rows["texts"] not in ("on", "off"):
        raise bad_value(f"'texts' is on or off, not {rows['texts']!r}.")
    if type(rows["prefix"]) is not int or not 1 <= rows["prefix"] <= LONGEST:
        raise bad_value(f"'prefix' is a number of characters from 1 to {LONGEST}, not {rows['prefix']!r}.")


def _lists(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
