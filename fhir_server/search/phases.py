"""What the conditions on the main date of a type tell about `d`, so that an index by `d` is entered where matches can
be.

`d` is where the earliest value of the main date starts. A condition such as `ge` looks at the end of a value: it can
match one that started long before. Values longer than a day therefore leave the mark `code~long` in `tok`, and such a
search has two phases: everything from a day before on, and of the time before only what is marked.
https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from fhir_server.search.clinical_dates import CLINICAL_DATES
from fhir_server.search.query import Query
from fhir_server.search.registry import parameters
from fhir_server.search.term import Filter, Term
from fhir_server.search.types.date import ALWAYS, long_mark


@dataclass(frozen=True, slots=True)
class Phase:
    """Documents with `d` in [since, before), an end being open where it is None, and with the entry `mark` in `tok`."""

    since: datetime | None = None
    before: datetime | None = None
    mark: str | None = None

    def filter(self) -> Filter:
        bounds = {"$gte": self.since, "$lt": self.before}
        given = {operator: moment for operator, moment in bounds.items() if moment is not None}
        return {"d": given} if given else {}


def main_date(query: Query) -> str | None:
    """The code of the main date, where one type is searched and has one."""
    return CLINICAL_DATES.get(query.resource_types[0]) if len(query.resource_types) == 1 else None


def only_by_update(query: Query) -> bool:
    """Whether `_lastUpdated` is all that is asked about."""
    return bool(query.criteria) and all(each.parameter.kind == "_lastUpdated" for each in query.criteria)


def dated_only(query: Query) -> bool:
    """Whether only documents with the main date can match."""
    return any(term.before or term.since or term.reaches for term in _terms(query))


def newest_first(query: Query) -> list[Phase]:
    """Phases by falling `d`; one that asks nothing more where nothing is known."""
    terms = _terms(query)
    if not terms:
        return [Phase()]
    before = min((term.before for term in terms if term.before), default=None)
    if not _single(query):
        return [Phase(before=before)]
    since = max((term.since for term in terms if term.since), default=None)
    reached = max((term.reaches for term in terms if term.reaches), default=None)
    if reached is None or (since and since >= reached):
        return [Phase(since, before)]
    earlier = reached if before is None else min(reached, before)
    return [Phase(reached, before), Phase(since, earlier, long_mark(main_date(query) or ""))]


def oldest_first(query: Query) -> list[Phase]:
    """The same phases in rising order, over dated documents only."""
    return [replace(each, since=each.since or ALWAYS) for each in reversed(newest_first(query))]


def _terms(query: Query) -> list[Term]:
    """The conditions on the main date."""
    code = main_date(query)
    return [each.term for each in query.criteria if code and each.parameter.code == code]


def _single(query: Query) -> bool:
    """Whether a resource has one main date at most, so that `d` is where it starts."""
    code = main_date(query)
    return code is not None and not parameters(query.resource_types[0])[code].repeats
