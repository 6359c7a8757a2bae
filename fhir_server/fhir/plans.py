"""What is left to check once the structure is right: one of many types, invariants, bindings of concepts, narrative.

Compiled per type into a graph that visits only elements below which there is something to check.
https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fhir_server.fhir import narrative, references
from fhir_server.fhir.definitions import Constraint, Element, Structure, codings, structure
from fhir_server.fhir.invariants import BEYOND, predicate
from fhir_server.fhir.predicates import Predicate
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.resource import Resource

ABOUT_CONTAINED = ("dom-", "contained-")
"""How the keys of rules about contained resources begin."""

CONTAINED, STANDALONE = "contained", "standalone"


@dataclass(slots=True, eq=False)
class Plan:
    """How to check an element: what must hold of it, and which children to go into."""

    predicates: list[Predicate] = field(default_factory=list)
    children: dict[str, tuple[bool, Plan]] = field(default_factory=dict)
    """By JSON name: whether it is an array, and its own plan."""
    resources: dict[str, str] = field(default_factory=dict)
    """By JSON name: whether the resources in it stand alone or are contained."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A child: its type by path, empty for a primitive, and the rules that the element adds to those of its type."""

    many: bool
    path: str
    predicates: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A plan before the idle children are left out."""

    predicates: list[Predicate]
    edges: dict[str, Edge]
    resources: dict[str, str]


def holds(resource: Resource, root: Resource) -> bool:
    """Whether a resource whose structure is right keeps all other rules; `root` is what it is contained in."""
    return element_holds(plan(resource["resourceType"]), resource, root)


def element_holds(found: Plan, value: Any, root: Resource) -> bool:
    for each in found.predicates:
        if not each(value, root):
            return False
    children = found.children
    if children:
        for name in value:
            child = children.get(name)
            if child is not None:
                many, inner = child
                for one in value[name] if many else (value[name],):
                    if not element_holds(inner, one, root):
                        return False
    return not found.resources or _resources_hold(found, value, root)


def _resources_hold(found: Plan, value: Any, root: Resource) -> bool:
    for name, kind in found.resources.items():
        inside = value.get(name, [])
        for each in inside if isinstance(inside, list) else [inside]:
            if not holds(each, root if kind == CONTAINED else each):
                return False
    return True


_plans: dict[str, Plan] = {}


@cache
def plan(path: str) -> Plan:
    """The plan of a type or element, with those below it, the idle ones left out."""
    reachable = _reachable(path)
    busy = _busy(reachable)
    fresh = reachable - _plans.keys()
    _plans.update({name: Plan(_sketch(name).predicates, resources=_sketch(name).resources) for name in fresh})
    for name in fresh:
        for json_name, edge in _sketch(name).edges.items():
            if edge.predicates or edge.path in busy:
                _plans[name].children[json_name] = (edge.many, _at_the_end_of(edge))
    return _plans[path]


def _at_the_end_of(edge: Edge) -> Plan:
    """The plan of the type; where the element has rules of its own, one with these as well."""
    shared = _plans.get(edge.path) or Plan()
    if not edge.predicates:
        return shared
    return Plan([*shared.predicates, *edge.predicates], shared.children, shared.resources)


def _reachable(path: str) -> set[str]:
    found: set[str] = set()
    waiting = [path]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [edge.path for edge in _sketch(name).edges.values() if edge.path]
    return found


def _busy(paths: set[str]) -> set[str]:
    """Those at or below which there is something to check."""
    busy = {path for path in paths if _sketch(path).predicates or _sketch(path).resources}
    before = -1
    while before != len(busy):
        before = len(busy)
        busy |= {path for path in paths if any(e.predicates or e.path in busy for e in _sketch(path).edges.values())}
    return busy


@cache
def _sketch(path: str) -> Sketch:
    elements_path, _, targets = path.partition(">")
    definition = structure(elements_path.partition(".")[0])
    elements = definition.elements[elements_path]
    own = type_constraints(definition) if elements_path == definition.name else ()
    predicates = [*_choices(elements), *_of_type(elements_path, own)]
    if definition.name == "Reference":
        predicates.append(_reference_target(tuple(each for each in targets.split("|") if each)))
    edges = {name: edge for element in elements for name, edge in _edges(element)}
    return Sketch(predicates, edges, {each.name: standing(each) for each in elements if each.types == ("Resource",)})


def standing(element: Element) -> str:
    """Whether what is in the element is part of the resource around it."""
    return CONTAINED if element.name == "contained" else STANDALONE


def _edges(element: Element) -> Iterator[tuple[str, Edge]]:
    """Children to go into. Extensions are not: `types` checks each, its value included, where it finds it."""
    for name, type_name in element.json_names():
        if type_name not in ("Extension", "Resource") and not element.plain:
            path = "" if type_name in PRIMITIVE_TYPES else type_path(element, type_name)
            yield name, Edge(element.many, path, tuple(_of_element(element, type_name)))


def type_path(element: Element, type_name: str) -> str:
    """The path whose children an element of this type has: the one it repeats, the element itself, or the type."""
    if element.content:
        return element.content
    if element.path in structure(element.path.partition(".")[0]).elements:
        return element.path
    return f"Reference>{'|'.join(element.targets)}" if type_name == "Reference" else type_name


def _of_type(path: str, constraints: Iterable[Constraint]) -> Iterator[Predicate]:
    about_contained = []
    for each in constraints:
        found = predicate(path, each.key) if each.severity == "error" else None
        if found and each.key.startswith(ABOUT_CONTAINED):
            about_contained.append(found)
        elif found:
            yield found
    if about_contained:
        yield _where_contained(about_contained)


def _of_element(element: Element, type_name: str) -> Iterator[Predicate]:
    yield from _of_type(element.path, constraints_of(element, type_name))
    if type_name == "xhtml":
        yield lambda div, _: narrative.problem(div) is None
    if element.binding and element.binding.strength == "required" and type_name in ("CodeableConcept", "Coding"):
        allowed = codings(element.binding.value_set)
        if allowed:
            yield lambda concept, _: is_bound(concept, allowed)


def type_constraints(definition: Structure) -> tuple[Constraint, ...]:
    """The rules of a type, with those that stand in the prose of R4."""
    return (*definition.constraints, *BEYOND.get(definition.name, ()), *BEYOND.get(definition.base or "", ()))


@cache
def constraints_of(element: Element, type_name: str) -> tuple[Constraint, ...]:
    """The element's own rules; those on a choice are about its quantities and ranges, not about its bare values."""
    if element.choice and type_name in PRIMITIVE_TYPES:
        return ()
    inherited = structure(type_name).constraints if type_name else ()
    own = tuple(each for each in element.constraints if each not in inherited)
    return (*own, *BEYOND.get(element.path, ()))


def is_bound(concept: Any, allowed: frozenset[tuple[str, str]]) -> bool:
    """Whether a CodeableConcept has a coding of the value set, or a Coding is one."""
    return any((each.get("system"), each.get("code")) in allowed for each in concept.get("coding", (concept,)))


def _where_contained(rules: list[Predicate]) -> Predicate:
    return lambda resource, root: "contained" not in resource or all(each(resource, root) for each in rules)


def _reference_target(targets: tuple[str, ...]) -> Predicate:
    """A reference within the resource, or one that states its type; the compiled type has looked at all others."""

    def is_right(reference: Any, root: Resource) -> bool:
        if reference.get("reference", "")[:1] != "#" and "type" not in reference:
            return True
        return references.problem(reference, targets, root) is None

    return is_right


def _choices(elements: Iterable[Element]) -> Iterator[Predicate]:
    """For each `value[x]` that at most one type of it is there, or exactly one where there must be a value."""
    for element in elements:
        if element.choice:
            names = frozenset(name for json_name, _ in element.json_names() for name in (json_name, f"_{json_name}"))
            yield _exactly_one(names) if element.min else _at_most_one(names)


def _at_most_one(names: frozenset[str]) -> Predicate:
    return lambda element, _: sum(map(names.__contains__, element)) <= 1


def _exactly_one(names: frozenset[str]) -> Predicate:
    return lambda element, _: sum(map(names.__contains__, element)) == 1
