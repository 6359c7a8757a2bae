"""Membership in a compartment, by the parameters of its CompartmentDefinition and nothing else.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from fhir_server.fhir import definitions
from fhir_server.search.criteria import over_types, parameter
from fhir_server.search.index import COMPARTMENTS
from fhir_server.search.query import Criterion
from fhir_server.search.term import NOTHING, Term, any_of

NAMES = ("Patient", "Encounter", "RelatedPerson", "Practitioner", "Device")
"""https://hl7.org/fhir/R4/compartmentdefinition.html#compartments"""


def members(name: str) -> tuple[str, ...]:
    """The resource types that may be in such a compartment."""
    return tuple(sorted(each for each, codes in definitions.compartment(name).items() if codes or each == name))


def within(name: str, resource_id: str, types: tuple[str, ...]) -> Criterion:
    """Being in the compartment of this resource."""
    own = f"{name}/{resource_id}"
    if name in COMPARTMENTS:
        return _criterion(Term({"cmp": own}))
    return _criterion(over_types(types, [_member(each, name, own) for each in types]))


def nothing() -> Criterion:
    """Being in a compartment that the caller may not look into."""
    return _criterion(Term(NOTHING))


def _criterion(term: Term) -> Criterion:
    return Criterion(parameter("_id", "Basic"), "", term)


def _member(resource_type: str, name: str, own: str) -> Term:
    points = tuple(f"{code}={own}" for code in definitions.compartment(name)[resource_type])
    if resource_type != name:
        return Term({"tok": points[0] if len(points) == 1 else {"$in": list(points)}}, points=points)
    itself = {"id": own.partition("/")[2]}
    return Term(any_of([itself, {"tok": {"$in": list(points)}}]) if points else itself)
