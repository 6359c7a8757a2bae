"""An open element while XML is read: what it is, and the JSON that it has become so far.

https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fhir_server.fhir.xml.shape import RESOURCE, Child, children

NOTHING: Mapping[str, Child] = MappingProxyType({})


@dataclass(slots=True)
class Frame:
    step: str
    """The last step of its FHIRPath: `.name[0]`."""
    path: str
    children: Mapping[str, Child]
    depth: int
    """How deep its JSON is nested."""
    child: Child | None
    """What it is in its parent; None for a resource."""
    content: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    last: int = 0
    """The order of the latest child."""
    is_flawed: bool = False
    """Whether there is a fault right in it; being empty is none then."""

    @classmethod
    def of(cls, child: Child, parent: Frame) -> Frame:
        step = f".{child.element}"
        if child.many:
            step += f"[{len(parent.content.get(child.name, ()))}]"
        known = children(child.path) if child.path else NOTHING
        # A primitive is no object of its own.
        depth = parent.depth + child.many + (not child.is_primitive)
        return cls(step, child.path, known, depth, child)

    @classmethod
    def of_resource(cls, name: str, wrapper: Frame | None) -> Frame:
        step, depth = ("", wrapper.depth) if wrapper else (name, 1)
        return cls(step, name, children(name), depth, None, {"resourceType": name})

    @property
    def type_name(self) -> str:
        return self.child.type_name if self.child else RESOURCE

    @property
    def is_wrapper(self) -> bool:
        """`contained` and `Bundle.entry.resource` hold a resource, which in JSON they are."""
        return self.child is not None and self.child.type_name == RESOURCE

    @property
    def is_primitive(self) -> bool:
        return self.child is not None and self.child.is_primitive

    @property
    def is_void(self) -> bool:
        return not self.content and self.value is None

    def has(self, child: Child) -> bool:
        return child.name in self.content or f"_{child.name}" in self.content

    def complete(self) -> None:
        """Arrays of primitives and of their extensions are made equally long, and left out where all is null."""
        for name in [each for each in self.content if each.startswith("_")]:
            values, beside = self.content.get(name[1:]), self.content[name]
            if isinstance(values, list):
                beside += [None] * (len(values) - len(beside))
                if values.count(None) == len(values):
                    del self.content[name[1:]]

    def join(self, parent: Frame) -> None:
        """Becomes a member of what it stands in."""
        if self.child is None:
            parent.content.update(self.content)
        elif self.is_primitive:
            _put(parent.content, self.child, self.value)
            if self.content:
                _put_beside(parent.content, self.child, self.content)
        else:
            _put(parent.content, self.child, self.content)


def _put(content: dict[str, Any], child: Child, value: Any) -> None:
    if child.many:
        content.setdefault(child.name, []).append(value)
    elif value is not None:
        content[child.name] = value


def _put_beside(content: dict[str, Any], child: Child, sibling: dict[str, Any]) -> None:
    name = f"_{child.name}"
    if not child.many:
        content[name] = sibling
        return
    beside = content.setdefault(name, [])
    beside += [None] * (len(content[child.name]) - 1 - len(beside))
    beside.append(sibling)
