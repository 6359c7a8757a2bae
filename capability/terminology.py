"""Value sets written out, where the package has all that is needed.  https://hl7.org/fhir/R4/valueset.html#compose"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from capability.package import Definition, definitions, unversioned

Coding = tuple[str, str]
Codings = frozenset[Coding]


class NotEnumerable(Exception):
    """Why a value set cannot be written out from the package alone."""


@dataclass
class Concept:
    parents: set[str] = field(default_factory=set)
    properties: dict[str, str] = field(default_factory=dict)


@dataclass
class Terminology:
    """The code systems and value sets of a package by canonical URL."""

    code_systems: dict[str, Definition]
    value_sets: dict[str, Definition]

    @classmethod
    def of(cls, package: Path) -> Terminology:
        return cls(
            {each["url"]: each for each in definitions(package, "CodeSystem") if each["content"] == "complete"},
            {each["url"]: each for each in definitions(package, "ValueSet") if "url" in each},
        )

    def expand(self, url: str, seen: frozenset[str] = frozenset()) -> Codings:
        """The (system, code) pairs of a value set; NotEnumerable where the package does not hold them all."""
        value_set = self.value_sets.get(unversioned(url))
        if value_set is None:
            raise NotEnumerable(f"value set {url} is not in the package")
        if url in seen:
            raise NotEnumerable(f"value set {url} includes itself")
        compose = value_set.get("compose")
        if compose is None:
            raise NotEnumerable("it has no definition by content")
        inside = [self._chosen(each, seen | {url}) for each in compose["include"]]
        outside = [self._chosen(each, seen | {url}) for each in compose.get("exclude", [])]
        return frozenset[Coding]().union(*inside) - frozenset[Coding]().union(*outside)

    def _chosen(self, include: Definition, seen: frozenset[str]) -> Codings:
        """One include or exclude: everything in it that is stated must hold at once."""
        parts = [self.expand(each, seen) for each in include.get("valueSet", [])]
        if "system" in include:
            parts.append(self._of_system(include))
        return frozenset.intersection(*parts)

    def _of_system(self, include: Definition) -> Codings:
        system: str = include["system"]
        if "concept" in include:
            return frozenset((system, each["code"]) for each in include["concept"])
        concepts = self._concepts(system)
        kept = set(concepts)
        for each in include.get("filter", []):
            kept &= filtered(concepts, each)
        return frozenset((system, code) for code in kept)

    def _concepts(self, system: str) -> dict[str, Concept]:
        if system not in self.code_systems:
            raise NotEnumerable(f"code system {system} is not in the package as a whole")
        found: dict[str, Concept] = defaultdict(Concept)
        for parent, concept in walk(self.code_systems[system].get("concept", [])):
            known = found[concept["code"]]
            known.parents.update({parent} if parent else ())
            for each in concept.get("property", []):
                value = next((str(each[name]) for name in each if name.startswith("value")), "")
                known.properties[each["code"]] = value
                known.parents.update({value} if each["code"] in ("subsumedBy", "parent") else ())
        return found


def walk(concepts: list[Definition], parent: str = "") -> Iterator[tuple[str, Definition]]:
    for concept in concepts:
        yield parent, concept
        yield from walk(concept.get("concept", []), concept["code"])


def ancestors(concepts: dict[str, Concept], code: str) -> set[str]:
    found: set[str] = set()
    waiting = [code]
    while waiting:
        parents = concepts[waiting.pop()].parents if waiting[-1] in concepts else set()
        waiting += parents - found
        found |= parents
    return found


def filtered(concepts: dict[str, Concept], condition: Definition) -> set[str]:
    """The codes that a filter keeps. https://hl7.org/fhir/R4/valueset-filter-operator.html"""
    operator, name, value = condition["op"], condition["property"], condition["value"]
    if operator not in FILTERS:
        raise NotEnumerable(f"filter {name} {operator} {value} needs a terminology server")
    keep = FILTERS[operator]
    return {code for code in concepts if keep(concepts, code, name, value)}


FILTERS: dict[str, Callable[[dict[str, Concept], str, str, str], bool]] = {
    "is-a": lambda concepts, code, _, value: code == value or value in ancestors(concepts, code),
    "descendent-of": lambda concepts, code, _, value: value in ancestors(concepts, code),
    "is-not-a": lambda concepts, code, _, value: code != value and value not in ancestors(concepts, code),
    "=": lambda concepts, code, name, value: concepts[code].properties.get(name) == value,
}
