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

RESOURCE = "%resource."
"""In a part of a composite: from the resource on, not from the element that holds the other parts."""

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
class Place:
    """Where resolving has come to: the route so far, and the structure and path that define the children of its end."""

    route: Route
    structure: str
    path: str


def routes(resource_type: str, parameter: SearchParameter) -> tuple[Route, ...]:
    """Every way to a value of the parameter in this type, in the order of the expression."""
    paths = (_from_here(resource_type, branch) for branch in expression.parse(parameter.expression))
    found = [place.route for path in paths if path for place in _resolved(resource_type, path)]
    return tuple(dict.fromkeys(found))


def containers(resource_type: str, parameter: SearchParameter) -> tuple[Place, ...]:
    """The elements within which the parts of a composite are looked for: the resource itself, or elements of it."""
    here = _start(resource_type)
    found: list[Place] = []
    for branch in expression.parse(parameter.expression):
        path = _from_here(resource_type, branch)
        found += [here] if branch == (Field(resource_type),) else _along(here, path) if path else []
    return tuple(found)


def within(place: Place, resource_type: str, text: str) -> tuple[bool, tuple[Route, ...]]:
    """The routes of a part from its container on, or from the resource, which `%resource` says."""
    whole = text.startswith(RESOURCE)
    start = _start(resource_type) if whole else replace(place, route=Route((), place.route.type))
    ends = [
        end
        for path in expression.parse(text.removeprefix(RESOURCE))
        for reached in _along(start, path)
        for end in _opened(reached)
    ]
    return whole, tuple(dict.fromkeys(end.route for end in ends))


def _from_here(resource_type: str, branch: Path) -> Path:
    """The branch without the name of its type; nothing where it is about another type."""
    first = branch[0]
    if isinstance(first, Field) and first.name[0].islower():
        return branch
    return branch[1:] if first in (Field(resource_type), Field("Resource"), Field("DomainResource")) else ()


def _start(resource_type: str) -> Place:
    return Place(Route((), resource_type), resource_type, resource_type)


def _resolved(resource_type: str, path: Path) -> list[Place]:
    return [end for place in _along(_start(resource_type), path) for end in _opened(place)]


def _along(start: Place, path: Path) -> list[Place]:
    places = [start]
    for segment in path:
        places = [after for place in places for after in _SEGMENTS[type(segment)](place, segment)]
    return places


def _field(place: Place, segment: Field) -> Iterator[Place]:
    for element in definitions.structure(place.structure).elements.get(place.path, ()):
        if element.name == segment.name:
            yield from _entered(place, element)


def _entered(place: Place, element: Element) -> Iterator[Place]:
    value_set = element.binding.value_set if element.binding else None
    for key, type_name in element.json_names():
        route = Route(
            (*place.route.steps, Step(key, element.many, element.path)), type_name, value_set, element.targets
        )
        if type_name in INLINE:
            yield Place(route, place.structure, element.content or element.path)
        else:
            yield Place(route, type_name, type_name)


def _opened(place: Place) -> Iterator[Place]:
    """An extension as the end of a path means its value."""
    if place.route.type == "Extension":
        yield from _field(place, Field("value"))
    else:
        yield place


def _cast(place: Place, segment: Cast) -> Iterator[Place]:
    """Some expressions write the name of a primitive type with a capital: `DateTime`."""
    if segment.type in (place.route.type, place.route.type[:1].upper() + place.route.type[1:]):
        yield place


def _kept(place: Place, segment: Test) -> Iterator[Place]:
    """Nothing where nothing can be tested: a primitive has no children, the resource itself no place."""
    if not place.route.steps or definitions.structure(place.structure).kind == "primitive-type":
        return
    if isinstance(segment, Refers) and place.route.type != "Reference":
        return
    *before, last = place.route.steps
    tested = replace(last, tests=(*last.tests, segment))
    targets = (segment.type,) if isinstance(segment, Refers) else place.route.targets
    yield replace(place, route=replace(place.route, steps=(*before, tested), targets=targets))


def _item(place: Place, segment: Item) -> Iterator[Place]:
    if not place.route.steps:
        return
    *before, last = place.route.steps
    yield replace(place, route=replace(place.route, steps=(*before, replace(last, position=segment.position))))


def _truth(place: Place, _: Truth) -> Iterator[Place]:
    yield replace(place, route=replace(place.route, truth=True))


_SEGMENTS: dict[type[Segment], Callable[..., Iterator[Place]]] = {
    Field: _field,
    Cast: _cast,
    Item: _item,
    Equals: _kept,
    Extended: _kept,
    Refers: _kept,
    Truth: _truth,
}
