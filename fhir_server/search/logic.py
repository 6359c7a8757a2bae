"""Criteria joined by `and`, `or` and `not` into one.  https://hl7.org/fhir/R4/search_filter.html"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fhir_server.search.criteria import parameter
from fhir_server.search.query import Criterion, Logic
from fhir_server.search.term import Filter, Term, any_of, none_of

COMBINED: dict[str, Callable[[list[Filter]], Filter]] = {
    "and": lambda filters: {"$and": filters},
    "or": any_of,
    "not": lambda filters: none_of(filters[0]),
}


def combined(operator: str, parts: Sequence[Criterion]) -> Criterion:
    """One criterion; what is met by any of several exact entries can still enter an index.

    Conditions on other resources lead to entries that are not known yet: the order must not depend on them.
    """
    found = Term(
        COMBINED[operator]([each.term.filter for each in parts]),
        points=_points(parts) if operator == "or" else (),
    )
    return Criterion(parameter("_id", "Basic"), "", found, logic=Logic(operator, tuple(parts)))


def _points(parts: Sequence[Criterion]) -> tuple[str, ...]:
    if any(each.joins or not each.term.points for each in parts):
        return ()
    return tuple(dict.fromkeys(point for each in parts for point in each.term.points))
