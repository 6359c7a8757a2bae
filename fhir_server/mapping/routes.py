"""The way from a resource back to a column: where its value stands, and the converters it went through, turned round.

A route is found from the declaration of the table; where there is none, or more than one, the column is not writable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir.resource import Resource
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.model import ColumnType, Group, Items, Leaf, Literal, Node, Output, TableMapping
from fhir_server.mapping.text import folded

CONTACTS: Mapping[str, str] = {"phone": "phone", "fax": "fax", "email": "email", "url": "url"}
"""The system of the ContactPoint that a converter makes.  https://hl7.org/fhir/R4/valueset-contact-point-system.html"""
SAME = frozenset({"copy", "code_of", "preferred", "rank", *CONTACTS})
"""Converters that take what they gave: apart from the ContactPoint around it, the value goes back as it is."""
EXACT = frozenset({"equal", "equivalent"})


class NoWayBack(ValueError):
    """A column that cannot be written, or a value that it cannot hold; the message never has the value."""


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of a list: the one with these fixed values, or the one at a place."""

    fixed: Mapping[str, Any] | None
    at: int

    def of(self, found: Any) -> Any:
        items = found if isinstance(found, list) else []
        if self.fixed is None:
            return items[self.at] if self.at < len(items) else None
        return next((each for each in items if self._is_meant(each)), None)

    def _is_meant(self, item: Any) -> bool:
        assert self.fixed is not None
        return isinstance(item, dict) and all(item.get(name) == value for name, value in self.fixed.items())


Part = str | Item


@dataclass(frozen=True, slots=True)
class Route:
    """From a resource to the value of a column."""

    column: str
    kind: ColumnType
    parts: tuple[Part, ...]
    maps: tuple[ConceptMap, ...]
    documented: tuple[str, ...]

    def said(self, resource: Resource) -> Any:
        """What the resource says where the column's value stands."""
        found: Any = resource
        for part in self.parts:
            found = part.of(found) if isinstance(part, Item) else found.get(part) if isinstance(found, dict) else None
        return found

    def value(self, resource: Resource) -> Any:
        """What the column has to hold for the resource to say what it says."""
        found = self.said(resource)
        if found is None:
            if self.kind.required:
                raise NoWayBack(f"The column {self.column} is never empty.")
            return None
        for concept_map in reversed(self.maps):
            found = self._turned(found, concept_map)
        return int(found) if self.kind.name == "integer" else found

    def _turned(self, code: Any, concept_map: ConceptMap) -> str:
        """The only value of the source that means exactly this; of those it documents, where it documents any."""
        exact = [value for value, each in concept_map.rows.items() if each.code == code and each.equivalence in EXACT]
        written = {folded(each): each for each in self.documented}
        found = [written[value] for value in exact if value in written] if written else exact
        if len(found) != 1:
            what = "no value" if not found else "more than one value"
            raise NoWayBack(f"The map '{concept_map.name}' has {what} of {self.column} that means exactly this code.")
        return found[0]


def route(table: TableMapping, output: Output, elements: Collection[str], column: str, catalogue: Catalogue) -> Route:
    """The route of a column below one of these elements; NoWayBack says why there is none."""
    ways = [
        (parts, leaf)
        for name in elements
        for parts, leaf in _ways(output.body.children.get(name), (name,))
        if leaf.pipe.column.name == column
    ]
    if len(ways) != 1:
        below = ", ".join(elements)
        what = "in no one place" if not ways else "in several places"
        raise NoWayBack(f"The column '{column}' stands {what} of {below} of {output.name}, so it cannot be read back.")
    parts, leaf = ways[0]
    for step in leaf.pipe.steps:
        if step.name not in SAME and step.name != "map":
            raise NoWayBack(f"The column '{column}' goes through '{step}', which cannot be turned round.")
    maps = tuple(catalogue.maps[str(step.args[0])] for step in leaf.pipe.steps if step.name == "map")
    inside = ("value",) if any(step.name in CONTACTS for step in leaf.pipe.steps) else ()
    return Route(column, table.columns[column], (*parts, *inside), maps, table.values.get(column, ()))


def _ways(node: Node | None, parts: tuple[Part, ...]) -> Iterator[tuple[tuple[Part, ...], Leaf]]:
    """Every leaf that always stands in the same place: not those of choices and loops."""
    if isinstance(node, Leaf):
        yield parts, node
    elif isinstance(node, Group):
        for name, child in node.children.items():
            yield from _ways(child, (*parts, name))
    elif isinstance(node, Items):
        for at, item in enumerate(node.items):
            yield from _ways(item, (*parts, Item(_fixed(item), at)))


def _fixed(node: Node) -> Mapping[str, Any] | None:
    """What an entry of a list always says; None where entries are told apart by their place alone."""
    if isinstance(node, Leaf):
        made = next((step for step in node.pipe.steps if step.name in CONTACTS), None)
        return {"system": CONTACTS[made.name], "use": str(made.args[0])} if made else None
    if isinstance(node, Group):
        return {name: child.value for name, child in node.children.items() if isinstance(child, Literal)}
    return None
