"""How much of a source its declarations cover: columns, must-supports of profiles, concepts that carry a code.

Told of the declarations alone, without a database; `stored` tells the same of what runs have made of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.fhir.resource import Resource
from fhir_server.mapping import constants
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.codings import CODED, WORDS, concepts
from fhir_server.mapping.elements import Place, UnknownElement, root
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.model import Constant, Each, First, Group, Items, Leaf, Literal, Node, Output, TableMapping
from fhir_server.mapping.profiles import ANYTHING, Alternatives, Profile, met, written

CONCEPT = "CodeableConcept"
IN_WORDS = "cctext"
READ_WITH = "read with "
"""How the reason begins why a table does nothing with a column that another one reads with its rows."""
LEGACY = {"use": "secondary", "system": "urn:legacy", "value": ANYTHING}
"""The identifier with the key of the row, which is in every resource that can have one."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: those that are used, and why the others are not."""

    table: str
    used: tuple[str, ...]
    dropped: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claims:
    """A profile, the outputs that claim it, and which of its must-supports they have a place for."""

    profile: str
    outputs: tuple[str, ...]
    supported: tuple[str, ...]
    unsupported: tuple[str, ...]


def columns(tables: Iterable[TableMapping]) -> list[Columns]:
    """What the declaration of another table reads with its rows is used."""
    return [_columns(each) for each in tables]


def _columns(table: TableMapping) -> Columns:
    dropped = {name: reason for name, reason in table.drop.items() if not reason.startswith(READ_WITH)}
    return Columns(table.table, tuple(name for name in table.columns if name not in dropped), dropped)


def claims(catalogue: Catalogue, tables: Iterable[TableMapping]) -> list[Claims]:
    """By profile; what one of its outputs has counts, because a table says what it can."""
    claiming: dict[str, list[tuple[TableMapping, Output]]] = {}
    for table in tables:
        for output in table.outputs:
            for name in output.profiles:
                claiming.setdefault(name, []).append((table, output))
    return [_claims(catalogue, catalogue.profiles[name], claiming[name]) for name in sorted(claiming)]


def _claims(catalogue: Catalogue, profile: Profile, claiming: list[tuple[TableMapping, Output]]) -> Claims:
    shapes = [shape(output, catalogue) for _, output in claiming]
    found = {written(each): any(met(one, each) for one in shapes) for each in profile.supports}
    return Claims(
        profile.name,
        tuple(f"{table.table}: {output.name}" for table, output in claiming),
        tuple(name for name, there in found.items() if there),
        tuple(name for name, there in found.items() if not there),
    )


def shape(output: Output, catalogue: Catalogue) -> Any:
    """The resource that an output would be if every column had a value; what a column gives may hold anything."""
    found = _shape(output.body, catalogue)
    if "identifier" in root(output.resource_type).names():
        own = found.get("identifier", [])
        found["identifier"] = [*(own if isinstance(own, list) else [own]), LEGACY]
    return found


def _shape(node: Node, catalogue: Catalogue) -> Any:
    if isinstance(node, Leaf):
        return ANYTHING
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Constant):
        return constants.value(node.step, catalogue.systems)[0]
    if isinstance(node, Group):
        return {name: _shape(child, catalogue) for name, child in node.children.items()}
    if isinstance(node, Each):
        return [_shape(node.body, catalogue)]
    several = node.items if isinstance(node, Items) else node.options
    return [_shape(each, catalogue) for each in several]


def declared_concepts(tables: Iterable[TableMapping]) -> Counter[str]:
    """The places for a CodeableConcept: `Condition.code coded` if it may have a code, `Condition.code text` if not."""
    return Counter(
        f"{path} {CODED if may_be_coded else WORDS}"
        for table in tables
        for output in table.outputs
        if not is_feature(output.resource_type)
        for path, may_be_coded in _concepts(output.body, root(output.resource_type))
    )


def _concepts(group: Group, place: Place) -> Iterator[tuple[str, bool]]:
    for name, node in group.children.items():
        try:
            child = place.child(name)
        except UnknownElement:
            continue
        for single in node.items if isinstance(node, Items) else (node,):
            body = single.body if isinstance(single, Each) else single
            if child.type == CONCEPT:
                yield child.path, _may_be_coded(body)
            elif isinstance(body, Group):
                yield from _concepts(body, child)


def _may_be_coded(node: Node) -> bool:
    if isinstance(node, First):
        return any(map(_may_be_coded, node.options))
    if isinstance(node, Leaf):
        return all(step.name != IN_WORDS for step in node.pipe.steps)
    if isinstance(node, Constant):
        return node.step.name != IN_WORDS
    return isinstance(node, Group) and "coding" in node.children


@dataclass(slots=True)
class Stored:
    """What the resources of a source have, counted one by one."""

    catalogue: Catalogue
    resources: Counter[str] = field(default_factory=Counter)
    """By profile, those that claim it."""
    supports: dict[str, Counter[str]] = field(default_factory=dict)
    """By profile and must-support, those that have it."""
    concepts: Counter[str] = field(default_factory=Counter)

    def add(self, resource: Resource) -> None:
        self.concepts.update(concepts(resource, f"{self.catalogue.base}/"))
        claimed = set(resource.get("meta", {}).get("profile", ()))
        for profile in self.catalogue.profiles.values():
            if profile.url in claimed:
                self.resources[profile.name] += 1
                self._supports(profile.name, profile.supports, resource)

    def _supports(self, name: str, supports: Iterable[Alternatives], resource: Resource) -> None:
        counted = self.supports.setdefault(name, Counter())
        counted.update(written(each) for each in supports if met(resource, each))


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the concepts at a path carry a code that others know, and how many only words."""

    path: str
    coded: int
    text: int

    @property
    def share(self) -> float:
        return self.coded / (self.coded + self.text)


def shares(counted: Mapping[str, int]) -> list[Share]:
    """By path; the share of them all comes from their sums."""
    paths = sorted({each.rpartition(" ")[0] for each in counted})
    return [Share(path, counted.get(f"{path} {CODED}", 0), counted.get(f"{path} {WORDS}", 0)) for path in paths]
