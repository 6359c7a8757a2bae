"""Codes that a parameter asks for by a value set or a hierarchy: found by whoever knows the terminology.

A search is read without them first; what it lacks is named by `Unresolved`, and once it is known the search is read
again. https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Codings = frozenset[tuple[str, str]]
"""System and code."""

MOST = 10_000
"""Codes that one parameter may come down to."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """`relation` is `in`, of a value set, or `below` or `above`, of `system|code`."""

    relation: str
    value: str


Known = Mapping[Lookup, Codings]


class Unresolved(Exception):
    """The codes of a lookup have to be found before the search can be understood."""

    def __init__(self, lookup: Lookup):
        super().__init__(f"{lookup.relation} {lookup.value}")
        self.lookup = lookup
