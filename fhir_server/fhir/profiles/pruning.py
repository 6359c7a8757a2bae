"""A tree of rules without what R4 says anyway: a check visits only what the profile adds."""

from __future__ import annotations

from fhir_server.fhir.definitions import Element
from fhir_server.fhir.profiles.items import children
from fhir_server.fhir.profiles.rules import ABSENT, CORE, Bound, Node, TypeRule


def prune(node: Node) -> None:
    """Takes it out of a tree, in place."""
    for name, child in list(node.children.items()):
        known = children(node.path).get(name) if node.path else None
        if known is not None:
            _forget(child, known.element)
        prune(child)
        if _is_idle(child):
            del node.children[name]
    for each in node.slices:
        prune(each)


def _forget(node: Node, element: Element) -> None:
    """What R4 says of the element itself."""
    if node.min <= element.min:
        node.min = 0
    if node.max is not None and element.max is not None and node.max >= element.max:
        node.max = None
    if element.binding and node.bound == Bound(element.binding.strength, element.binding.value_set):
        node.bound = None
    if node.bound and element.binding and node.bound.value_set.partition("|")[0] == element.binding.value_set:
        node.bound = None if node.bound.strength == element.binding.strength else node.bound
    if not any(each.profiles for each in node.types) and _as_wide(node.types, element):
        node.types = ()


def _as_wide(types: tuple[TypeRule, ...], element: Element) -> bool:
    """Whether every type and every target of R4 is still allowed."""
    if {each.code for each in types} < set(element.types):
        return False
    stated = [target for each in types for target in each.targets]
    if not stated or f"{CORE}Resource" in stated:
        return True
    named = {target.removeprefix(CORE) for target in stated}
    return bool(element.targets) and named == set(element.targets)


def _is_idle(node: Node) -> bool:
    """Whether it asks nothing."""
    says = (node.min, node.types, node.bound, node.constraints, node.must_support, node.slices, node.children)
    stated = (node.fixed, node.pattern, node.least, node.most)
    return (
        not any(says)
        and node.max is None
        and node.length is None
        and node.content is None
        and all(each is ABSENT for each in stated)
    )
