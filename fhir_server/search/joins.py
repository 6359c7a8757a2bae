"""Conditions on other resources, once these have been found: from a tree of queries to one plain query.

Whoever runs the queries starts from the side that is likely to find less and narrows the other side by it.
https://hl7.org/fhir/R4/search.html#chaining https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fhir_server.search.criteria import parameter
from fhir_server.search.query import Criterion, Join, Query
from fhir_server.search.selectivity import UNFIT, weight
from fhir_server.search.term import NOTHING, Term

Keys = frozenset[str]
"""Resources as `Type/id`."""


def queries(query: Query) -> Iterator[Query]:
    """The query and every one within it: the caller must have the right to search all their types."""
    yield query
    for each in query.criteria:
        if each.join:
            yield from queries(each.join.source)


def plain(query: Query) -> Query:
    """Without its conditions on other resources."""
    return replace(query, criteria=tuple(each for each in query.criteria if not each.join))


def joined(query: Query) -> list[Criterion]:
    """The conditions on other resources, first those that few of these are likely to match."""
    return sorted((each for each in query.criteria if each.join), key=lambda each: _likely(each.join))


def _likely(join: Join | None) -> int:
    return expected(join.source) if join else UNFIT


def expected(query: Query) -> int:
    """How much a query is likely to find, as a weight: the smaller, the less."""
    return min(map(weight, query.criteria), default=UNFIT)


def narrowed(query: Query, *criteria: Criterion) -> Query:
    return replace(query, criteria=(*query.criteria, *criteria))


def resolved(criterion: Criterion, join: Join, others: Keys) -> Criterion:
    """The criterion with the resources that its condition comes down to: itself those, or referring to those."""
    return replace(criterion, term=_these(others) if join.reverse else _referring(join.code, others))


def those(query: Query, keys: Keys) -> Query:
    """Of what a query finds, these resources only."""
    types = tuple(each for each in query.resource_types if any(key.startswith(f"{each}/") for key in keys))
    if not types:
        return narrowed(query, Criterion(parameter("_id", "Basic"), "", Term(NOTHING)))
    return narrowed(replace(query, resource_types=types), Criterion(parameter("_id", types[0]), "", _these(keys)))


def referring_to(query: Query, code: str, keys: Keys) -> Query:
    """Of what a query finds, what refers to one of these resources."""
    found = parameter(code, query.resource_types[0])
    return narrowed(query, Criterion(found, "", _referring(code, keys)))


def _these(keys: Iterable[str]) -> Term:
    ids = tuple(sorted({each.partition("/")[2] for each in keys}))
    return Term({"id": {"$in": list(ids)}}, ids=ids)


def _referring(code: str, keys: Iterable[str]) -> Term:
    points = tuple(sorted(f"{code}={each}" for each in keys))
    if not points:
        return Term(NOTHING)
    return Term({"tok": points[0] if len(points) == 1 else {"$in": list(points)}}, points=points)
