"""Which concepts of a code system a question is about: of a large system no others are fetched.

https://hl7.org/fhir/R4/valueset.html#compose
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.filters import ITSELF

_UP = frozenset({"is-a", "descendent-of", "is-not-a", "generalizes"})
"""Filters whose value is a code that has to be known itself."""


@dataclass(slots=True)
class Need:
    """Codes, and codes with everything below or above them; or `all` of the system."""

    codes: set[str] = field(default_factory=set)
    below: set[str] = field(default_factory=set)
    above: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    """Codes of which what is directly below is wanted."""
    all: bool = False


Needs = dict[str, Need]
"""By the URL of the code system."""


def to_list(value_set: Resource, needs: Needs) -> None:
    """Adds what has to be known to write out what a value set itself states, without what it imports."""
    compose = value_set.get("compose", {})
    for include in compose.get("include", ()):
        if "system" in include:
            _included(include, needs.setdefault(include["system"], Need()))
    to_find(value_set, needs)
    if "compose" not in value_set:
        _expanded(value_set.get("expansion", {}), needs)


def to_find(value_set: Resource, needs: Needs) -> None:
    """Adds what has to be known to decide whether codes, which are known already, are in it."""
    compose = value_set.get("compose", {})
    for part in (*compose.get("include", ()), *compose.get("exclude", ())):
        if "system" in part:
            need = needs.setdefault(part["system"], Need())
            need.codes.update(each["value"] for each in part.get("filter", ()) if each.get("op") in _UP)


def _included(include: Resource, need: Need) -> None:
    if "concept" in include:
        need.codes.update(each["code"] for each in include["concept"])
        return
    for each in include.get("filter", ()):
        narrow = _NARROW.get(each.get("op", ""))
        if narrow and each.get("property") in ITSELF:
            narrow(need, each["value"])
            return
    need.all = True


_NARROW: dict[str, Callable[[Need, str], None]] = {
    "is-a": lambda need, value: need.below.add(value),
    "descendent-of": lambda need, value: need.below.add(value),
    "generalizes": lambda need, value: need.above.add(value),
    "=": lambda need, value: need.codes.add(value),
    "in": lambda need, value: need.codes.update(each.strip() for each in value.split(",")),
}
"""Filters that only a part of a system can pass."""


def _expanded(expansion: Resource, needs: Needs) -> None:
    waiting = list(expansion.get("contains", ()))
    while waiting:
        row = waiting.pop()
        waiting += row.get("contains", ())
        if "system" in row and "code" in row:
            needs.setdefault(row["system"], Need()).codes.add(row["code"])
