"""Where a name of a template leads in R4, or in a record of a feature: the element, its type, what may stand below it.

https://hl7.org/fhir/R4/elementdefinition.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fhir_server.fhir.definitions import Binding, Element, kinds
from fhir_server.mapping.features import described, is_feature

PRIMITIVE = "primitive-type"
BACKBONE = frozenset({"BackboneElement", "Element"})


class UnknownElement(ValueError):
    """R4 has no element of this name here."""


@dataclass(frozen=True, slots=True)
class Place:
    """An element with one concrete type; `owner` and `key` say in which structure its children are listed."""

    path: str
    type: str
    owner: str
    key: str
    many: bool
    required: bool
    binding: Binding | None
    targets: tuple[str, ...]
    choice: str | None
    """The name without its type where the element is one of several (`deceased`)."""

    @property
    def primitive(self) -> bool:
        return kinds().get(self.type, ("", False))[0] == PRIMITIVE

    def names(self) -> tuple[str, ...]:
        """Every JSON name that may stand below this element."""
        return tuple(name for element in self._elements() for name, _ in element.json_names())

    def required_names(self) -> Iterator[tuple[str, ...]]:
        """For each required child the names that satisfy it."""
        for element in self._elements():
            if element.min > 0:
                yield tuple(name for name, _ in element.json_names())

    def child(self, name: str) -> Place:
        for element in self._elements():
            for json_name, type_name in element.json_names():
                if json_name == name:
                    return _place(self, element, name, type_name)
        raise UnknownElement(f"{self.path} has no element '{name}'{'' if is_feature(self.owner) else ' in R4'}.")

    def _elements(self) -> tuple[Element, ...]:
        return described(self.owner).elements.get(self.key, ())


def _place(above: Place, element: Element, name: str, type_name: str) -> Place:
    owner, key = _children(above, element, type_name)
    return Place(
        path=f"{above.path}.{name}",
        type=type_name or "BackboneElement",
        owner=owner,
        key=key,
        many=element.many,
        required=element.min > 0,
        binding=element.binding,
        targets=element.targets if type_name in ("Reference", "canonical") else (),
        choice=element.name if element.choice else None,
    )


def _children(above: Place, element: Element, type_name: str) -> tuple[str, str]:
    """The structure and path that list what stands below: its own backbone, another's, or its data type."""
    if element.content:
        return above.owner, element.content
    if type_name in BACKBONE or not type_name:
        return above.owner, element.path
    return type_name, type_name


@lru_cache(maxsize=256)
def root(resource_type: str) -> Place:
    """A whole resource or record; KeyError where there is no such type."""
    described(resource_type)
    return Place(resource_type, resource_type, resource_type, resource_type, False, True, None, (), None)


def change_places() -> Mapping[str, Place]:
    """Where what is said of the change of a row stands.  https://hl7.org/fhir/R4/provenance.html"""
    provenance = root("Provenance")
    return {
        "author": provenance.child("agent").child("who"),
        "occurred": provenance.child("occurredDateTime"),
        "reason": provenance.child("reason"),
    }
