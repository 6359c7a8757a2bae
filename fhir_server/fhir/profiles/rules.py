"""What a profile asks, as a tree beside the elements of the type.  https://hl7.org/fhir/R4/elementdefinition.html

The tree is sparse: an element about which a profile says nothing beyond R4 has no node, since R4 itself is checked
elsewhere. A differential is therefore as good as a snapshot once it is laid over the tree of its base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from fhir_server.fhir.definitions import Constraint


class Absent(Enum):
    """Stands for a value that is not stated, as null and false may be."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

CORE: Final = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class TypeRule:
    """A type that is allowed, the profiles of which its values keep one, and those that its target may keep."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    strength: str
    value_set: str


@dataclass(frozen=True, slots=True)
class Discriminator:
    """https://hl7.org/fhir/R4/valueset-discriminator-type.html"""

    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Slicing:
    """https://hl7.org/fhir/R4/profiling.html#slicing"""

    discriminators: tuple[Discriminator, ...]
    rules: str = "open"
    ordered: bool = False


BY_TYPE: Final = Slicing((Discriminator("type", "$this"),))
BY_URL: Final = Slicing((Discriminator("value", "url"),))


@dataclass(slots=True, eq=False)
class Node:
    """One element, or one slice of it; what is not stated is left at a value that asks nothing."""

    id: str
    """As the StructureDefinition names it: `Patient.identifier:ssn.system`."""
    name: str
    """Of the element, without `[x]`."""
    path: str | None = None
    """Where its children are defined (`Patient.contact`, `HumanName`); None where that depends on its type."""
    slice: str | None = None
    min: int = 0
    max: int | None = None
    types: tuple[TypeRule, ...] = ()
    fixed: Any = ABSENT
    pattern: Any = ABSENT
    least: Any = ABSENT
    most: Any = ABSENT
    length: int | None = None
    bound: Bound | None = None
    constraints: tuple[Constraint, ...] = ()
    must_support: bool = False
    content: str | None = None
    """The id of the element whose children this one repeats."""
    slicing: Slicing | None = None
    slices: list[Node] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(profile for each in self.types for profile in each.profiles)

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for each in (*self.children.values(), *self.slices):
            yield from each.walk()


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A compiled StructureDefinition."""

    url: str
    version: str | None
    type: str
    root: Node
    repeated: Mapping[str, Node]
    """By id the elements whose children others repeat. https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.contentReference"""

    @property
    def label(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url

    def below(self, node: Node) -> Mapping[str, Node]:
        """What is asked of the children of an element."""
        if node.content is not None and not node.children and node.content in self.repeated:
            return self.repeated[node.content].children
        return node.children
