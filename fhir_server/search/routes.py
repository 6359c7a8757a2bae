"""Expressions resolved against the definitions: the JSON properties that lead from a resource to a value, and its type.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import Element, SearchParameter
from fhir_server.search import expression
from fhir_server.search.expression import Cast, Equals, Extended, Field, Item, Path, Refers, Segment, Truth

INLINE = ("BackboneElement", "Element", "")
"""Types whose children are defined in place, under the path of the element."""

Test = Equals | Extended | Refers


@dataclass(frozen=True, slots=True)
class Step:
    """One JSON property, an array where `many`; items that pass the tests or are at the position are kept."""

    key: str
    many: bool
    element: str
    """Its path in the definitions, the same for all types of a choice."""
    tests: tuple[Test, ...] = ()
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The way to values of one FHIR type; `truth` asks only whether there is one that is not false."""

    steps: tuple[Step, ...]
    type: str
    value_set: str | None = None
    targets: tuple[str, ...] = ()
    """Types of resource that a reference here may point to; empty where any may be."""
    truth: bool = False

    @property
    def elements(self) -> tuple[str, ...]:
        return tuple(step.element for step in self.steps)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where resolving has come to: the route so far, and the structure and path that define the children of its end."""

    route: Route
    structure: str
    path: str


def routes(resource_type: str, parameter: SearchParameter) -> tuple[Route, ...]:
    """Every way to a value of the parameter in this type, in the order of the expression."""
    paths = (_from_here(resource_type, branch) for branch in expression.parse(parameter.expression))
    found = [place.route for path in paths if path for place in _resolved(resource_type, path)]
    return tuple(dict.fromkeys(found))


def _from_here(resource_type: str, branch: Path) -> Path:
    """The branch without the name of its type; nothing where it is about another type."""
    first = branch[0]
    if isinstance(first, Field) and first.name[0].islower():
        return branch
    return branch[1:] if first in (Field(resource_type), Field("Resource"), Field("DomainResource")) else ()


def _resolved(resource_type: str, path: Path) -> list[_Place]:
    places = [_Place(Route((), resource_type), resource_type, resource_type)]
    for segment in path:
        places = [after for place in places for after in _SEGMENTS[type(segment)](place, segment)]
    return [end for place in places for end in _opened(place)]


def _field(place: _Place, segment: Field) -> Iterator[_Place]:
    for element in definitions.structure(place.structure).elements.get(place.path, ()):
        if element.name == segment.name:
            yield from _entered(place, element)


def _entered(place: _Place, element: Element) -> Iterator[_Place]:
    value_set = element.binding.value_set if element.binding else None
    for key, type_name in element.json_names():
        route = Route(
            (*place.route.steps, Step(key, element.many, element.path)), type_name, value_set, element.targets
        )
        if type_name in INLINE:
            yield _Place(route, place.structure, element.content or element.path)
        else:
            yield _Place(route, type_name, type_name)


def _opened(place: _Place) -> Iterator[_Place]:
    """An extension as the end of a path means its value."""
    if place.route.type == "Extension":
        yield from _field(place, Field("value"))
    else:
        yield place


def _cast(place: _Place, segment: Cast) -> Iterator[_Place]:
    if place.route.type == segment.type:
        yield place


def _kept(place: _Place, segment: Test) -> Iterator[_Place]:
    """Nothing where nothing can be tested: a primitive has no children, the resource itself no place."""
    if not place.route.steps or definitions.structure(place.structure).kind == "primitive-type":
        return
    if isinstance(segment, Refers) and place.route.type != "Reference":
        return
    *before, last = place.route.steps
    tested = replace(last, tests=(*last.tests, segment))
    targets = (segment.type,) if isinstance(segment, Refers) else place.route.targets
    yield replace(place, route=replace(place.route, steps=(*before, tested), targets=targets))


def _item(place: _Place, segment: Item) -> Iterator[_Place]:
    if not place.route.steps:
        return
    *before, last = place.route.steps
    yield replace(place, route=replace(place.route, steps=(*before, replace(last, position=segment.position))))


def _truth(place: _Place, _: Truth) -> Iterator[_Place]:
    yield replace(place, route=replace(place.route, truth=True))


_SEGMENTS: dict[type[Segment], Callable[..., Iterator[_Place]]] = {
    Field: _field,
    Cast: _cast,
    Item: _item,
    Equals: _kept,
    Extended: _kept,
    Refers: _kept,
    Truth: _truth,
}
