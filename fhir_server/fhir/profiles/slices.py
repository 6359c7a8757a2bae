"""Values sorted into the slices of their element.  https://hl7.org/fhir/R4/profiling.html#slicing"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.profiles.discriminators import Means, Test, Undetermined, test
from fhir_server.fhir.profiles.items import Item
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.profiles.rules import BY_TYPE, Node

DEFAULT: Final = "@default"
"""The slice of all that is in no other. https://hl7.org/fhir/R4/profiling.html#default-slice"""


@dataclass(slots=True)
class Sorted:
    """The values of each slice; `rest` are in none; `unclear` says why others could not be sorted."""

    members: list[tuple[Node, list[Item]]]
    rest: list[Item] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    misplaced: list[tuple[Item, str]] = field(default_factory=list)
    """Values that break the order of the slices, with how."""


def sort(node: Node, found: list[Item], library: Library, means: Means) -> Sorted:
    named = [each for each in node.slices if each.slice != DEFAULT]
    into = Sorted([(each, []) for each in named])
    order = _Order(node, into)
    for item in found:
        try:
            slots = [number for number, each in enumerate(named) if _is_in(node, each, item, library, means)]
        except (Undetermined, FhirError) as problem:
            into.unclear.append(str(problem))
            continue
        for number in slots:
            into.members[number][1].append(item)
        if not slots:
            into.rest.append(item)
        order.next(item, slots[0] if slots else None)
    default = next((each for each in node.slices if each.slice == DEFAULT), None)
    if default is not None:
        into.members.append((default, into.rest))
        into.rest = []
    return into


class _Order:
    """https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.slicing.ordered"""

    def __init__(self, node: Node, into: Sorted) -> None:
        self._slicing = node.slicing or BY_TYPE
        self._into = into
        self._latest = -1
        self._others = False

    def next(self, item: Item, slot: int | None) -> None:
        if slot is None:
            self._others = True
            return
        name = self._into.members[slot][0].slice
        if self._slicing.rules == "openAtEnd" and self._others:
            self._into.misplaced.append(
                (item, f"is in the slice '{name}' and must stand before those that are in none")
            )
        if self._slicing.ordered and slot < self._latest:
            self._into.misplaced.append((item, f"is in the slice '{name}', which must come earlier"))
        self._latest = max(self._latest, slot)


def _is_in(node: Node, each: Node, item: Item, library: Library, means: Means) -> bool:
    """Whether all discriminators say so; where they ask nothing, whether the value keeps what the slice asks."""
    tests = _tests(node, each, library)
    return all(one(item, means) for one in tests) if tests else means.keeps(each, item)


def _tests(node: Node, each: Node, library: Library) -> list[Test]:
    key = ("tests", each)
    if key not in library.remembered:
        discriminators = (node.slicing or BY_TYPE).discriminators
        made = (test(each, discriminator, library) for discriminator in discriminators)
        library.remembered[key] = [one for one in made if one is not None]
    return cast("list[Test]", library.remembered[key])
