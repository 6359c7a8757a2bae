"""A resource as nodes that know their definition: found by a path, and rebuilt with something else in their place.
https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import Any

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import Element
from fhir_server.fhir.json_patch import same
from fhir_server.fhir.patch import Unpatchable
from fhir_server.fhir.path import Child, Equal, Item, Step, Where
from fhir_server.fhir.resource import Resource

PRIMITIVE = "Element"
"""What stands beside a primitive value has the children of Element: an id and extensions."""


@dataclass(frozen=True, slots=True)
class Content:
    """One value under its JSON name (`valueQuantity`), and what stands beside it under `_` and the name."""

    name: str
    value: Any = None
    beside: Any = None

    @property
    def children(self) -> Resource:
        """The object that the children of this value stand in."""
        found = self.value if isinstance(self.value, dict) else self.beside
        return found if isinstance(found, dict) else {}

    def holding(self, children: Resource) -> Content:
        if isinstance(self.value, dict):
            return Content(self.name, children, self.beside)
        return Content(self.name, self.value, children or None)


@cache
def elements(path: str) -> dict[str, Element]:
    """The children of a type or of an element (`Patient.contact`), by name."""
    found = definitions.structure(path.partition(".")[0]).elements.get(path, ())
    return {each.name: each for each in found}


def element(path: str, name: str) -> Element:
    try:
        return elements(path)[name]
    except KeyError:
        raise Unpatchable(f"{path} has no element '{name[:80]}'.") from None


def type_path(of: Element, content: Content) -> str:
    """Where the children of a value are defined."""
    if of.content:
        return of.content
    if elements(of.path):
        return of.path
    type_name = next(each for name, each in of.json_names() if name == content.name)
    if type_name == "Resource":
        return _resource_type(content.children)
    return PRIMITIVE if definitions.kinds()[type_name][0] == "primitive-type" else type_name


def _resource_type(resource: Resource) -> str:
    found = resource.get("resourceType")
    if not isinstance(found, str) or found not in definitions.resource_types():
        raise Unpatchable("There is a resource without a type on the way.")
    return found


def contents(parent: Resource, of: Element) -> list[Content]:
    """The values of an element, in order."""
    for name, _ in of.json_names():
        value, beside = parent.get(name), parent.get(f"_{name}")
        if value is None and beside is None:
            continue
        if not of.many:
            return [Content(name, value, beside)]
        return [Content(name, *pair) for pair in zip_longest(value or [], beside or [])]
    return []


def holding(parent: Resource, of: Element, values: Sequence[Content]) -> Resource:
    """The parent with these values of an element, which stay where they were among the others."""
    given: Resource = {}
    if values:
        name = values[-1].name
        given = {name: [each.value for each in values], f"_{name}": [each.beside for each in values]}
        if not of.many:
            given = {name: values[-1].value, f"_{name}": values[-1].beside}
    given = {name: each for name, each in given.items() if _has_something(each)}
    names = {prefix + name for name, _ in of.json_names() for prefix in ("", "_")}
    kept = {name: given.get(name, each) for name, each in parent.items() if name not in names or name in given}
    return {**kept, **given}


def _has_something(value: Any) -> bool:
    return any(each is not None for each in value) if isinstance(value, list) else value is not None


@dataclass(frozen=True, slots=True)
class Node:
    """An element in its resource; `at` is its place among those of the same name."""

    content: Content
    path: str
    parent: Node | None = None
    of: Element | None = None
    at: int = 0

    @classmethod
    def root(cls, resource: Resource) -> Node:
        return cls(Content("", resource), str(resource["resourceType"]))

    def child(self, name: str) -> Element:
        return element(self.path, name)

    def children(self, of: Element) -> Iterator[Node]:
        for at, each in enumerate(contents(self.content.children, of)):
            yield Node(each, type_path(of, each), self, of, at)

    def rebuilt(self, of: Element, values: Sequence[Content]) -> Resource:
        """The whole resource, with these values of an element in this node."""
        children = holding(self.content.children, of, values)
        if self.parent is None or self.of is None:
            return children
        beside = contents(self.parent.content.children, self.of)
        beside[self.at] = self.content.holding(children)
        return self.parent.rebuilt(self.of, beside)


def located(resource: Resource, steps: Sequence[Step]) -> list[Node]:
    """The nodes that a path leads to."""
    root = Node.root(resource)
    found = [root]
    for step in steps[steps[:1] == (Child(root.path),) :]:
        found = _next(found, step)
    return found


def _next(nodes: list[Node], step: Step) -> list[Node]:
    if isinstance(step, Item):
        return nodes[step.index : step.index + 1]
    if isinstance(step, Where):
        return [node for node in nodes if all(_holds(node, each) for each in step.conditions)]
    return [child for node in nodes for child in node.children(node.child(step.name))]


def _holds(node: Node, condition: Equal) -> bool:
    """As FHIRPath says, equal to one value: nothing, and several, are not."""
    found: Iterable[Node] = [node]
    for name in condition.names:
        found = [child for each in found for child in each.children(each.child(name))]
    values = [each.content.value for each in found]
    return len(values) == 1 and same(values[0], condition.literal)
