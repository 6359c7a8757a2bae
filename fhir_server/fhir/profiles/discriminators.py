"""What tells the slices of an element apart: a path, and what a slice asks at its end.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

from fhir_server.fhir.profiles import matching
from fhir_server.fhir.profiles.items import Item, items
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.profiles.rules import ABSENT, Discriminator, Node, TypeRule

Resolve = Callable[[Item], Item | None]
"""What a reference leads to; None where that cannot be seen."""


class Undetermined(Exception):
    """Whether a value is in a slice depends on something that is not known here."""


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a path: the name of a child, or one of the functions that a discriminator may use."""

    name: str
    argument: str = ""


_STEP: Final = re.compile(
    r"(?P<call>resolve|extension|ofType)\(\s*['\"]?(?P<argument>[^'\")]*)['\"]?\s*\)|(?P<name>[^.()]+)"
)


@cache
def steps(path: str) -> tuple[Step, ...]:
    """https://hl7.org/fhir/R4/profiling.html#discriminator lists what may stand in a path."""
    found = (
        Step(f"{each['call']}()", each["argument"]) if each["call"] else Step(each["name"].removesuffix("[x]"))
        for each in _STEP.finditer(path)
    )
    return tuple(each for each in found if each.name != "$this")


def values(item: Item, path: tuple[Step, ...], resolve: Resolve) -> list[Item]:
    """What stands at the end of a path in a resource."""
    found = [item]
    for step in path:
        found = [one for each in found for one in _next(each, step, resolve)]
    return found


def _next(item: Item, step: Step, resolve: Resolve) -> list[Item]:
    if step.name == "resolve()":
        target = resolve(item)
        if target is None:
            raise Undetermined(str(item.element.get("reference", item.value)))
        return [target]
    if step.name == "extension()":
        return [each for each in items(item, "extension") if each.element.get("url") == step.argument]
    if step.name == "ofType()":
        return [item] if item.type == step.argument else []
    return items(item, step.name)


@dataclass(slots=True)
class Asked:
    """What a slice asks at the end of a path."""

    nodes: list[Node] = field(default_factory=list)
    fixed: list[Any] = field(default_factory=list)
    patterns: list[Any] = field(default_factory=list)

    @property
    def types(self) -> tuple[TypeRule, ...]:
        return tuple(rule for each in self.nodes for rule in each.types)


def asked(node: Node, path: tuple[Step, ...], library: Library) -> Asked:
    """Gathered from the slice, from what it states above the end of the path, and from the profiles of its types."""
    found = Asked()
    waiting = [(node, 0)]
    while waiting:
        each, done = waiting.pop()
        _gather(found, each, path[done:])
        if done == len(path):
            found.nodes.append(each)
        else:
            waiting += [(one, done + 1) for one in _below(each, path[done], library)]
    return found


def _gather(found: Asked, node: Node, rest: tuple[Step, ...]) -> None:
    names = tuple(each.name for each in rest)
    if node.fixed is not ABSENT:
        found.fixed += matching.parts(node.fixed, names)
    if node.pattern is not ABSENT:
        found.patterns += matching.parts(node.pattern, names)


def _below(node: Node, step: Step, library: Library) -> Iterator[Node]:
    if step.name == "resolve()":
        yield from _targets(node, library)
        return
    if step.name == "ofType()":
        yield node
        yield from (each for each in node.slices if step.argument in [rule.code for rule in each.types])
        return
    roots = [node, *_roots(node.profiles, library)]
    for root in roots:
        if step.name == "extension()":
            yield from _extensions(root, step.argument)
        elif step.name in root.children:
            yield root.children[step.name]
            yield from (each for each in root.children[step.name].slices if each.min)


def _roots(canonicals: tuple[str, ...], library: Library) -> Iterator[Node]:
    for each in canonicals:
        found = library.profile(each)
        if found is not None:
            yield found.root


def _targets(node: Node, library: Library) -> Iterator[Node]:
    """What a slice says of the target of a reference: that it keeps a profile."""
    for rule in node.types:
        for each in rule.targets:
            found = library.profile(each)
            code = found.type if found else each.rpartition("/")[2].partition("|")[0]
            yield Node(node.id, node.name, code, types=(TypeRule(code, (each,)),))


def _extensions(node: Node, url: str) -> Iterator[Node]:
    held = node.children.get("extension")
    for each in held.slices if held else ():
        if url in extension_urls(each):
            yield each


def extension_urls(node: Node) -> tuple[str, ...]:
    """The URLs of the extensions that a slice is for: each that of its StructureDefinition."""
    stated = node.children.get("url")
    if stated is not None and stated.fixed is not ABSENT:
        return (str(stated.fixed),)
    return tuple(each.partition("|")[0] for each in node.profiles)


@dataclass(frozen=True, slots=True)
class Means:
    """How to find out what a value alone does not say; Undetermined is raised where it cannot be found out."""

    resolve: Resolve
    conforms: Callable[[Item, str], bool]
    """Whether a value keeps a profile."""
    keeps: Callable[[Node, Item], bool]
    """Whether a value keeps all that a slice asks."""
    is_member: Callable[[Any, str], bool | None]
    """Whether a value has a code of a value set."""


Judge = Callable[[list[Item], Means], bool]
Test = Callable[[Item, Means], bool]


def test(node: Node, discriminator: Discriminator, library: Library) -> Test | None:
    """Whether a value is in the slice as far as one discriminator tells; None where the slice asks nothing there."""
    path = steps(discriminator.path)
    found = asked(node, path, library)
    make = _JUDGES.get(discriminator.type)
    judge = make(found, path, node, library) if make else None
    return partial(_judged, judge, path) if judge else None


def _judged(judge: Judge, path: tuple[Step, ...], item: Item, means: Means) -> bool:
    return judge(values(item, path, means.resolve), means)


def _by_value(found: Asked, path: tuple[Step, ...], node: Node, library: Library) -> Judge | None:
    """By a fixed value, a pattern or a required binding; extensions also by the URL of their StructureDefinition."""
    bound = [each.bound.value_set for each in found.nodes if each.bound and each.bound.strength == "required"]
    if found.fixed or found.patterns:
        return partial(_has_stated, found.fixed, found.patterns)
    if path and path[-1].name == "url":
        above = asked(node, path[:-1], library).nodes
        urls = {url for each in above for url in extension_urls(each)}
        return (lambda listed, _: any(each.value in urls for each in listed)) if urls else None
    return partial(_has_code, bound) if bound else None


def _has_stated(fixed: list[Any], patterns: list[Any], listed: list[Item], _: Means) -> bool:
    held = [each.value for each in listed]
    return all(any(matching.is_same(value, each) for value in held) for each in fixed) and all(
        any(matching.has_all(value, each) for value in held) for each in patterns
    )


def _has_code(bound: list[str], listed: list[Item], means: Means) -> bool:
    for value_set in bound:
        answers = [means.is_member(each.value, value_set) for each in listed]
        if True not in answers:
            if None in answers:
                raise Undetermined(value_set)
            return False
    return True


def _by_type(found: Asked, _: tuple[Step, ...], __: Node, ___: Library) -> Judge | None:
    codes = {each.code for each in found.types}
    return (lambda listed, _: any(each.type in codes for each in listed)) if codes else None


def _by_existence(found: Asked, _: tuple[Step, ...], __: Node, ___: Library) -> Judge | None:
    if any(each.max == 0 for each in found.nodes):
        return lambda listed, _: not listed
    return (lambda listed, _: bool(listed)) if any(each.min for each in found.nodes) else None


def _by_profile(found: Asked, _: tuple[Step, ...], __: Node, ___: Library) -> Judge | None:
    profiles = [profile for each in found.types for profile in each.profiles]
    if not profiles:
        return None
    return lambda listed, means: any(means.conforms(each, profile) for each in listed for profile in profiles)


_JUDGES: Final[dict[str, Callable[[Asked, tuple[Step, ...], Node, Library], Judge | None]]] = {
    "value": _by_value,
    "pattern": _by_value,
    "type": _by_type,
    "exists": _by_existence,
    "profile": _by_profile,
}
"""https://hl7.org/fhir/R4/valueset-discriminator-type.html"""
