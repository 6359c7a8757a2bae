"""The definitions that a check may use: those that are known, and the names of those that it asked for in vain.

A library belongs to one state of a tenant's definitions and is thrown away with it.
https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fhir_server.fhir.definitions import kinds, table
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.profiles.compiling import compiled, needs_base, unusable
from fhir_server.fhir.profiles.rules import CORE, Node, Profile
from fhir_server.fhir.resource import Resource

Wanted = tuple[str, str]
"""A type of definition and its canonical, with a version or without."""

STRUCTURE = "StructureDefinition"
KINDS = (STRUCTURE, "ValueSet", "CodeSystem")
"""What a check may ask for."""

DEEPEST = 30
"""So many profiles may be based one on the other."""


@dataclass(slots=True)
class Library:
    wanted: set[Wanted] = field(default_factory=set)
    """What was asked for and not looked up yet."""
    remembered: dict[Any, Any] = field(default_factory=dict)
    """What others worked out from these definitions; forgotten when more of them come."""
    _known: dict[Wanted, Resource | None] = field(default_factory=dict)
    _profiles: dict[str, Profile | FhirError | None] = field(default_factory=dict)

    def add(self, found: Mapping[Wanted, Resource | None]) -> None:
        """What was wanted, or that there is no such definition."""
        self._known.update(found)
        self.wanted -= found.keys()
        self.remembered.clear()
        self._profiles = {url: each for url, each in self._profiles.items() if isinstance(each, Profile)}

    def definition(self, kind: str, canonical: str) -> Resource | None:
        key = (kind, canonical)
        if key not in self._known:
            self.wanted.add(key)
            return None
        return self._known[key]

    def profile(self, canonical: str) -> Profile | None:
        """None where it is not known; FhirError where it is and cannot be used."""
        if is_core(canonical):
            return _of_type(canonical.partition("|")[0].removeprefix(CORE))
        if canonical not in self._profiles:
            self._profiles[canonical] = self._compiled(canonical)
        found = self._profiles[canonical]
        if isinstance(found, FhirError):
            raise found
        return found

    def _compiled(self, canonical: str) -> Profile | FhirError | None:
        try:
            return self._made(canonical, 0)
        except FhirError as problem:
            return problem

    def _made(self, canonical: str, depth: int) -> Profile | None:
        definition = self.definition(STRUCTURE, canonical) or shipped(canonical)
        if definition is None or (STRUCTURE, canonical) in self.wanted:
            return None
        above = definition.get("baseDefinition", "")
        if not needs_base(definition) or is_core(above):
            return _compiled(definition)
        if depth > DEEPEST:
            raise unusable(definition, f"more than {DEEPEST} profiles are based on each other")
        base = self._made(above, depth + 1)
        if base is None:
            if (STRUCTURE, above) in self.wanted:
                return None
            raise unusable(definition, f"it has no snapshot, and its base {above} is not known here")
        return _compiled(definition, base)


def _compiled(definition: Resource, base: Profile | None = None) -> Profile:
    try:
        return compiled(definition, base)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise unusable(definition, f"it is malformed ({type(problem).__name__}: {problem})") from problem


@cache
def _published() -> Mapping[str, Resource]:
    found: dict[str, Resource] = table("profiles.json")
    return found


def shipped(canonical: str) -> Resource | None:
    """A profile or an extension of R4 itself."""
    url, _, version = canonical.partition("|")
    found = _published().get(url)
    return found if found is None or version in ("", found["version"]) else None


@cache
def _of_type(name: str) -> Profile:
    """A type of R4 as a profile that asks nothing."""
    return Profile(f"{CORE}{name}", None, name, Node(name, name, name), {})


def is_core(canonical: str) -> bool:
    """Whether it names a type of R4 itself."""
    url = canonical.partition("|")[0]
    return url.startswith(CORE) and url.removeprefix(CORE) in kinds()
