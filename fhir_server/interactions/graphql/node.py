"""What a query is walking through: an element of a resource, and what there is to spend on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir.primitives import written
from fhir_server.fhir.resource import Resource


@dataclass(frozen=True, slots=True)
class Node:
    """An object in a resource; `root` has what it refers to as contained."""

    value: Resource
    root: Resource

    @classmethod
    def of(cls, resource: Resource) -> Node:
        return cls(resource, resource)

    def within(self, value: Any, *, alone: bool = False) -> Node:
        """A child. A resource in a Bundle or Parameters stands alone, a contained one does not."""
        return Node(value, value if alone else self.root)


def texts(value: Any) -> list[str]:
    """An argument as text: one value, several, or none."""
    if value is None:
        return []
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [written(value)]


def holds(value: Any, conditions: Iterable[tuple[str, list[str]]]) -> bool:
    """Whether an object has these values in its elements."""
    return isinstance(value, dict) and all(
        name in value and written(value[name]) in any_of for name, any_of in conditions
    )
