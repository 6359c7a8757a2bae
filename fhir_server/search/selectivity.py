"""Which condition of a search leaves the fewest documents, judged from what it is about.

No statistics are kept: an identifier finds one, a patient's reference finds one chart, a code finds many, a status
most.
"""

from __future__ import annotations

from operator import itemgetter

from fhir_server.search.query import Criterion

ABOUT_ONE = frozenset({"Patient", "Encounter", "EpisodeOfCare", "CareTeam", "RelatedPerson"})
"""Types that few resources of any type refer to each."""

COARSE = frozenset(
    {"category", "class", "clinical-status", "intent", "priority", "status", "type", "verification-status"}
) | {"_profile", "_security", "_source", "_tag"}
"""Parameters with few different values, whatever their type."""

FEW_VALUES = frozenset({"code", "boolean"})
"""FHIR types with few values, which most documents share."""

UNFIT = 9
"""The weight of a condition that no index can be entered with."""

REFERRED_TO, REFERRING = 0, 2
"""The weights of conditions on other resources: however many these turn out to be, the order stays the same."""

_BY_TYPE = (("Identifier", 1), ("ContactPoint", 1), ("id", 1), ("CodeableConcept", 5), ("Coding", 5), ("Resource", 2))
_BY_KIND = {"_id": 2, "reference": 4, "uri": 2, "token": 6, "string": 3}
MANY_VALUES = 20
SHORT = 3


def weight(criterion: Criterion) -> int:
    """The smaller, the fewer documents are expected."""
    if criterion.join:
        return REFERRED_TO if criterion.join.reverse else REFERRING
    term = criterion.term
    if criterion.logic:
        return max(map(weight, criterion.logic.parts)) if term.points else UNFIT
    if term.ids is not None:
        return 0
    if term.span:
        return _span_weight(criterion.parameter.code, term.span)
    if not term.points:
        return UNFIT
    return min(_points_weight(criterion) + (len(term.points) > MANY_VALUES), UNFIT - 1)


def _span_weight(code: str, span: tuple[str, str]) -> int:
    return 3 if len(span[0]) - len(code) - 1 >= SHORT else UNFIT - 2


def _points_weight(criterion: Criterion) -> int:
    parameter = criterion.parameter
    if parameter.types <= FEW_VALUES:
        return UNFIT - 1
    if parameter.code in COARSE:
        return UNFIT - 2
    if parameter.kind == "reference" and ABOUT_ONE.intersection(parameter.targets):
        return 2
    return next((found for name, found in _BY_TYPE if name in parameter.types), _BY_KIND[parameter.kind])


def leading(criteria: tuple[Criterion, ...]) -> Criterion | None:
    """The condition to enter an index with, if there is one."""
    least, best = min(((weight(each), each) for each in criteria), key=itemgetter(0), default=(UNFIT, None))
    return best if least < UNFIT else None
