"""The invariants that a profile adds, in FHIRPath.  https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

from __future__ import annotations

from functools import partial
from typing import Any

from fhir_server.fhir import fhirpath
from fhir_server.fhir.definitions import Constraint
from fhir_server.fhir.fhirpath import Unevaluable
from fhir_server.fhir.profiles import bindings
from fhir_server.fhir.profiles.findings import Fault
from fhir_server.fhir.profiles.items import Item
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.profiles.place import Place
from fhir_server.fhir.profiles.rules import Node


def check(constraint: Constraint, node: Node, item: Item, place: Place) -> None:
    """A constraint that cannot be evaluated is named as such: it neither holds nor fails."""
    if not constraint.expression:
        return
    value = item.value if item.value is not None else item.beside
    functions = {"memberOf": partial(_is_member, place.library)}
    try:
        kept = fhirpath.holds(constraint.expression, value, item.path, place.resource, place.container, functions)
    except Unevaluable as problem:
        place.unjudged(f"The constraint {constraint.key} of {place.profile.label} was not checked: {problem}")
        return
    if not kept:
        place.findings.add(_fault(constraint, node, item, place))


def _fault(constraint: Constraint, node: Node, item: Item, place: Place) -> Fault:
    text = f"{constraint.key}: {constraint.human.rstrip('.')}."
    rule = f"{constraint.key} at {node.id}"
    return Fault("invariant", text, item.expression, place.profile.label, rule, constraint.severity)


def _is_member(library: Library, found: list[Any], value_set: str) -> bool:
    answers = [bindings.is_member(library, each, value_set) for each in found]
    if True not in answers and None in answers:
        raise Unevaluable(f"Not all of the value set {value_set} is known here.")
    return True in answers
