"""Conditions on other resources, once these have been found: from a tree of queries to one plain query.

Whoever runs the queries starts from the side that is likely to find less and narrows the other side by it.
https://hl7.org/fhir/R4/search.html#chaining https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fhir_server.search.criteria import parameter
from fhir_server.search.query import Criterion, Join, Query
from fhir_server.search.selectivity import UNFIT, weight
from fhir_server.search.term import NOTHING, Filter, Term, any_of, entry_range, none_of

Keys = frozenset[str]
"""Resources as `Type/id`."""


def queries(query: Query) -> Iterator[Query]:
    """The query and every one within it: the caller must have the right to search all their types."""
    yield query
    for each in query.criteria:
        yield from _queries(each)


def _queries(criterion: Criterion) -> Iterator[Query]:
    if criterion.join:
        yield from queries(criterion.join.source)
    for each in criterion.logic.parts if criterion.logic else ():
        yield from _queries(each)


def plain(query: Query) -> Query:
    """Without its conditions on other resources."""
    return replace(query, criteria=tuple(each for each in query.criteria if not each.joins))


def undecided(query: Query) -> Query:
    """With conditions on other resources that everything meets: found are those that still have to be looked at."""
    criteria = (replace(each, term=Term({})) if each.join else each for each in query.criteria)
    return replace(query, criteria=tuple(criteria))


def joined(query: Query) -> list[Criterion]:
    """The conditions on other resources, first those that few of these are likely to match."""
    return sorted((each for each in query.criteria if each.joins), key=lambda each: _likely(each.join))


def _likely(join: Join | None) -> int:
    return expected(join.source) if join else UNFIT


def expected(query: Query) -> int:
    """How much a query is likely to find, as a weight: the smaller, the less."""
    return min(map(weight, query.criteria), default=UNFIT)


def narrowed(query: Query, *criteria: Criterion) -> Query:
    return replace(query, criteria=(*query.criteria, *criteria))


def resolved(query: Query, criterion: Criterion, join: Join, others: Keys) -> Criterion:
    """The criterion with what its condition comes down to: these themselves, or what refers to these or names them."""
    if join.reverse:
        return replace(criterion, term=_these(others, query.resource_types))
    return replace(criterion, term=(_naming if join.canonical else _referring)(join.code, others))


def those(query: Query, keys: Keys) -> Query:
    """Of what a query finds, these resources only."""
    types = tuple(each for each in query.resource_types if any(key.startswith(f"{each}/") for key in keys))
    if not types:
        return _none(query)
    return narrowed(
        replace(query, resource_types=types), Criterion(parameter("_id", types[0]), "", _these(keys, types))
    )


def named(query: Query, canonicals: Iterable[str]) -> Query:
    """Of what a query finds, what has one of these URLs."""
    urls = {each.partition("|")[0].partition("#")[0] for each in canonicals}
    if not urls:
        return _none(query)
    return narrowed(query, Criterion(parameter("url", query.resource_types[0]), "", _referring("url", urls)))


def referring_to(query: Query, code: str, keys: Keys) -> Query:
    """Of what a query finds, what refers to one of these resources."""
    found = parameter(code.partition(":")[0], query.resource_types[0])
    return narrowed(query, Criterion(found, "", _referring(code, keys)))


def canonical(tokens: Iterable[str]) -> str | None:
    """The URL of a resource with its version, by its index entries."""
    listed = list(tokens)
    url = next((each.removeprefix("url=") for each in listed if each.startswith("url=")), None)
    version = next((each.removeprefix("version:") for each in listed if each.startswith("version:")), None)
    return f"{url}|{version}" if url and version else url


def _none(query: Query) -> Query:
    return narrowed(query, Criterion(parameter("_id", "Basic"), "", Term(NOTHING)))


def _these(keys: Iterable[str], types: Sequence[str]) -> Term:
    """By id alone where there is but one type that it can be of."""
    if len(types) == 1:
        ids = tuple(sorted(each.partition("/")[2] for each in keys if each.startswith(f"{types[0]}/")))
        return Term({"id": {"$in": list(ids)}}, ids=ids)
    grouped: dict[str, list[str]] = {}
    for each in sorted(keys):
        resource_type, _, resource_id = each.partition("/")
        grouped.setdefault(resource_type, []).append(resource_id)
    filters: list[Filter] = [{"rt": name, "id": {"$in": ids}} for name, ids in grouped.items()]
    return Term(any_of(filters or [NOTHING]), ids=tuple(sorted(keys)))


def _referring(code: str, keys: Iterable[str]) -> Term:
    points = tuple(sorted(f"{code}={each}" for each in keys))
    if not points:
        return Term(NOTHING)
    return Term({"tok": points[0] if len(points) == 1 else {"$in": list(points)}}, points=points)


def _naming(code: str, canonicals: Iterable[str]) -> Term:
    """Naming one of these with its version, or without any, which means every version.

    https://hl7.org/fhir/R4/references.html#canonical
    """
    exact = sorted(f"{code}={each}" for each in canonicals if "|" in each)
    filters: list[Filter] = [{"tok": {"$in": exact}}] if exact else []
    bare = sorted({f"{code}={each.partition('|')[0]}" for each in canonicals})
    filters += [{"tok": each, **none_of(entry_range("tok", f"{each}|", f"{each}}}"))} for each in bare]
    return Term(any_of(filters or [NOTHING]))
