"""Search type uri: entries `code=uri` in `tok`, for a canonical with a version also without it.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.search.parameter import Parameter
from fhir_server.search.term import LAST, Asked, Filter, Term, any_of, entry_range
from fhir_server.search.values import unescape

FIELD = "tok"


def _plain(value: str) -> list[str]:
    return [f"={value}"]


def canonical(value: str) -> list[str]:
    """A canonical is found with and without its fragment and version. https://hl7.org/fhir/R4/references.html#canonical"""
    whole = value.partition("#")[0]
    return [f"={each}" for each in dict.fromkeys((value, whole, whole.partition("|")[0]))]


INDEX: dict[str, Callable[[Any], list[str]]] = {
    "canonical": canonical,
    **dict.fromkeys(("uri", "url", "oid", "uuid"), _plain),
}
"""Entries of a value by its FHIR type."""


def _exactly(code: str, uris: Sequence[str]) -> Term:
    points = tuple(f"{code}={uri}" for uri in uris)
    return Term({FIELD: points[0] if len(points) == 1 else {"$in": list(points)}}, points=points)


def _any(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return _exactly(parameter.code, [unescape(value) for value in values])


def _below(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    """The URI itself and those whose path continues it."""
    filters: list[Filter] = []
    for uri in map(unescape, values):
        low = f"{parameter.code}={uri.rstrip('/')}/"
        filters += [{FIELD: f"{parameter.code}={uri}"}, entry_range(FIELD, low, low + LAST)]
    return Term(any_of(filters))


def ancestors(uri: str) -> list[str]:
    """The URI and every URI whose path it continues, each with and without a final slash."""
    scheme, mark, rest = uri.rstrip("/").rpartition("://")
    segments = rest.split("/")
    heads = [scheme + mark + "/".join(segments[:length]) for length in range(len(segments), 0, -1)]
    return [uri, *(each for head in heads for each in (head, head + "/") if each != uri)]


def _above(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return _exactly(parameter.code, [each for value in values for each in ancestors(unescape(value))])


def _containing(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    patterns = [f"^{re.escape(parameter.code)}=.*{re.escape(unescape(value))}" for value in values]
    return Term(any_of([{FIELD: {"$regex": pattern}} for pattern in patterns]))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {
    "": _any,
    "below": _below,
    "above": _above,
    "contains": _containing,
}
