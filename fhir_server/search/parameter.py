"""A search parameter of one resource type, with the ways to its values.  https://hl7.org/fhir/R4/searchparameter.html"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from fhir_server.fhir import definitions
from fhir_server.search.routes import Route, Step

BARE = frozenset({"code", "boolean", "string", "id", "uri", "url", "canonical", "oid", "uuid", "integer"})
"""Types whose token has no system of its own in the resource."""

BOOLEANS = frozenset({("http://terminology.hl7.org/CodeSystem/special-values", each) for each in ("true", "false")})
"""https://hl7.org/fhir/R4/search.html#token"""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`kind` is the search type, or the code of a parameter that is a field of the document."""

    code: str
    kind: str
    url: str
    routes: tuple[Route, ...]
    types: frozenset[str]
    """FHIR types of its values."""
    targets: tuple[str, ...]
    """Types of resource that its references may point to."""
    definitions: tuple[str, ...] = ()
    """Types of resource that its canonical URLs may name, where it has those instead of references."""
    contexts: tuple[Context, ...] = ()
    """Of a composite: where its parts are together."""

    @property
    def parts(self) -> tuple[Parameter, ...]:
        """Of a composite: its parts, as parameters of their own."""
        return tuple(part.parameter for part in self.contexts[0].parts)

    @property
    def names(self) -> tuple[str, ...]:
        """Of a composite: what its rows are named by; others may share them."""
        return tuple(each.name for each in self.contexts)

    @property
    def bare(self) -> bool:
        """No value of this parameter states a system."""
        return self.types <= BARE

    @property
    def repeats(self) -> bool:
        """Whether one resource may have several values; the types of a choice are one value."""
        different = len({route.elements for route in self.routes}) > 1
        return different or any(step.many for route in self.routes for step in route.steps)

    def implies(self, system: str, code: str) -> bool:
        """Whether a bare code is understood to be of this system, from its binding; an empty system is none at all.

        https://hl7.org/fhir/R4/search.html#token
        """
        if not self.bare:
            return False
        known = _codings(self.routes)
        return not system or known is None or (system, code) in known

    def codes_of(self, system: str) -> list[str]:
        """The bare codes that are understood to be of this system."""
        known = _codings(self.routes) if self.bare else None
        return sorted(code for each, code in known or () if each == system)

    def of_identifier(self) -> Parameter:
        """The identifiers of its logical references, as a token parameter."""
        return replace(self, code=f"{self.code}:identifier", types=frozenset({"Identifier"}))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a composite; its routes start at the element that holds all parts, or at the resource where `whole`."""

    parameter: Parameter
    whole: bool


@dataclass(frozen=True, slots=True)
class Context:
    """An element whose parts are searched for together, reached by `steps`."""

    name: str
    steps: tuple[Step, ...]
    parts: tuple[Part, ...]


@cache
def _codings(routes: Iterable[Route]) -> frozenset[tuple[str, str]] | None:
    """The codings that the bindings of these values allow; None where one of them cannot be enumerated."""
    found = [BOOLEANS] if any(route.type == "boolean" for route in routes) else []
    for route in routes:
        if route.type == "code" and route.value_set:
            codings = definitions.codings(route.value_set)
            if codings is None:
                return None
            found.append(codings)
    return frozenset().union(*found)
