"""A search that is asked again in the same words is understood already, whoever asks: rights come later.

What an encrypted tenant is asked is not kept, nor what depends on the moment, on codes that were looked up or on how
far an index is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from fhir_server.search import registry
from fhir_server.search.lookup import Known
from fhir_server.search.own import ParameterSet
from fhir_server.search.parse import parse
from fhir_server.search.query import Query
from fhir_server.search.term import Passing

MOST: Final = 512
"""Searches that a process remembers, of all tenants."""
LONGEST: Final = 1_000
"""Characters of one."""

Pairs = tuple[tuple[str, str], ...]


def understood(resource_types: tuple[str, ...], query: Pairs, *, known: Known, **how: Any) -> Query:
    """As `parse`."""
    if known or not registry.settled() or sum([len(value) for _, value in query]) > LONGEST:
        return parse(resource_types, query, known=known, **how)
    try:
        return _lasting(registry.in_force(), resource_types, query, **how)
    except Passing:
        return parse(resource_types, query, known=known, **how)


@lru_cache(maxsize=MOST)
def _lasting(added: ParameterSet, resource_types: tuple[str, ...], query: Pairs, **how: Any) -> Query:  # noqa: ARG001
    """`added` is read by way of the registry; here it is part of what the search is remembered by."""
    return parse(resource_types, query, known={}, lasting=True, **how)
