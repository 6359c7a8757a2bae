"""A code system as its concepts by code, with their hierarchy.  https://hl7.org/fhir/R4/codesystem.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.fhir.outcome import not_supported
from fhir_server.fhir.resource import Resource

PARENTS = frozenset({"parent", "subsumedBy"})
"""Properties that name a parent. https://hl7.org/fhir/R4/codesystem-concept-properties.html"""

RETIRED = frozenset({"retired", "inactive"})
"""Values of the property `status` under which a concept is not for use."""

WHOLE = "complete"
"""The content of a system that has all its concepts. https://hl7.org/fhir/R4/valueset-codesystem-content-mode.html"""


@dataclass(frozen=True, slots=True)
class Concept:
    """`designations` and `properties` are as the resource has them."""

    code: str
    display: str | None = None
    definition: str | None = None
    parents: tuple[str, ...] = ()
    designations: tuple[Resource, ...] = ()
    properties: tuple[Resource, ...] = ()
    ancestors: frozenset[str] | None = None
    """Where they were computed before; else they follow from the parents."""

    def values(self, name: str) -> list[Any]:
        """The values of a property; of a Coding its code."""
        found = (_value(each) for each in self.properties if each.get("code") == name)
        return [value["code"] if isinstance(value, dict) else value for value in found]

    @property
    def inactive(self) -> bool:
        return True in self.values("inactive") or not RETIRED.isdisjoint(map(str, self.values("status")))

    @property
    def abstract(self) -> bool:
        """It groups others and is not chosen itself."""
        return True in self.values("notSelectable")


@dataclass(frozen=True, slots=True)
class CodeSystem:
    url: str
    version: str | None
    name: str
    content: str
    concepts: Mapping[str, Concept]
    case_sensitive: bool = True
    meaning: str = "is-a"
    """What the hierarchy says. https://hl7.org/fhir/R4/valueset-codesystem-hierarchy-meaning.html"""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Types of the properties that it declares, by code."""
    folded: Mapping[str, str] = field(default_factory=dict)
    """Where case does not matter: the code as it is written by the code without case."""

    @property
    def whole(self) -> bool:
        return self.content == WHOLE

    def find(self, code: str) -> Concept | None:
        if self.case_sensitive:
            return self.concepts.get(code)
        return self.concepts.get(self.folded.get(code.casefold(), code))

    def ancestors(self, code: str) -> frozenset[str]:
        """Everything above a code, through all its parents; a hierarchy that comes back to itself ends there."""
        concept = self.find(code)
        if concept is None:
            return frozenset()
        if concept.ancestors is not None:
            return concept.ancestors
        found: set[str] = set()
        waiting = list(concept.parents)
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                above = self.concepts.get(parent)
                waiting += above.parents if above else ()
        return frozenset(found)

    def subsumes(self, above: str, below: str) -> bool:
        """Whether the one is the other or above it. https://hl7.org/fhir/R4/codesystem.html#hierarchy"""
        if self.meaning != "is-a":
            raise not_supported(
                f"The hierarchy of {self.url} means '{self.meaning}': it does not say which codes subsume others."
            )
        upper, lower = self.find(above), self.find(below)
        if upper is None or lower is None:
            return False
        return upper.code == lower.code or upper.code in self.ancestors(lower.code)

    def subsumption(self, one: str, other: str) -> str:
        """https://hl7.org/fhir/R4/valueset-concept-subsumption-outcome.html"""
        downwards, upwards = self.subsumes(one, other), self.subsumes(other, one)
        return _OUTCOMES[downwards, upwards]


_OUTCOMES = {
    (True, True): "equivalent",
    (True, False): "subsumes",
    (False, True): "subsumed-by",
    (False, False): "not-subsumed",
}


def read(resource: Resource) -> CodeSystem:
    """A CodeSystem resource as it is looked things up in."""
    concepts: dict[str, Concept] = {}
    for parent, row in _walk(resource.get("concept", ())):
        concept = _concept(row, parent)
        known = concepts.get(concept.code)
        # Some systems repeat a concept at each of its places in the hierarchy.
        concepts[concept.code] = _joined(known, concept) if known else concept
    return of_concepts(resource, concepts)


def of_concepts(resource: Resource, concepts: Mapping[str, Concept]) -> CodeSystem:
    """The system that a resource describes, with concepts that may come from elsewhere."""
    case_sensitive = resource.get("caseSensitive", True)
    return CodeSystem(
        url=resource.get("url", ""),
        version=resource.get("version"),
        name=resource.get("name") or resource.get("title") or resource.get("url", ""),
        content=resource.get("content", WHOLE),
        concepts=concepts,
        case_sensitive=case_sensitive,
        meaning=resource.get("hierarchyMeaning", "is-a"),
        properties={each["code"]: each.get("type", "string") for each in resource.get("property", ())},
        folded={} if case_sensitive else {code.casefold(): code for code in concepts},
    )


def _walk(rows: Any) -> Iterator[tuple[str | None, Resource]]:
    """Concepts in order with the parent they stand under, however deep they are."""
    waiting: list[tuple[str | None, Resource]] = [(None, row) for row in reversed(rows)]
    while waiting:
        parent, row = waiting.pop()
        yield parent, row
        waiting += [(row["code"], child) for child in reversed(row.get("concept", ()))]


def _concept(row: Resource, parent: str | None) -> Concept:
    properties = tuple(row.get("property", ()))
    named = [str(_value(each)) for each in properties if each.get("code") in PARENTS]
    above = dict.fromkeys([*([parent] if parent is not None else []), *named])
    return Concept(
        row["code"],
        row.get("display"),
        row.get("definition"),
        tuple(above),
        tuple(row.get("designation", ())),
        properties,
    )


def _joined(one: Concept, other: Concept) -> Concept:
    parents = tuple(dict.fromkeys((*one.parents, *other.parents)))
    return Concept(
        one.code,
        one.display or other.display,
        one.definition or other.definition,
        parents,
        one.designations or other.designations,
        one.properties or other.properties,
    )


def _value(row: Resource) -> Any:
    return next((row[name] for name in row if name.startswith("value")), None)
