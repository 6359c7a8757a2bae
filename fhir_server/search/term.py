"""What one search parameter asks of a document, ready to be joined with others.

A filter is a plain MongoDB filter over the index arrays of a document; `match.matches` answers the same in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fhir_server.fhir.outcome import not_supported
from fhir_server.search.lookup import Codings, Known, Lookup, Unresolved

if TYPE_CHECKING:
    from fhir_server.search.blinding import Blinding

Filter = dict[str, Any]

NOTHING: Filter = {"id": {"$in": []}}
"""Matches no document."""

LAST = "\U0010ffff"
"""Sorts after every character that an index entry may go on with."""


@dataclass(frozen=True, slots=True)
class Term:
    """A condition, and what makes it fit to enter an index with.

    `points` are the exact `tok` entries of which any matches, `span` is the `str` range [low, high) that matches.
    """

    filter: Filter
    points: tuple[str, ...] = ()
    span: tuple[str, str] | None = None
    ids: tuple[str, ...] | None = None
    before: datetime | None = None
    """Every match has a value that starts before this."""
    since: datetime | None = None
    """Every match has a value that starts at or after this."""
    reaches: datetime | None = None
    """Every match has a value that starts at or after this or is long."""


class Passing(Exception):
    """What is asked depends on when it is asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the values of a parameter are read against: the server's own base URL and the moment of the request.

    `words` says whether the words of the resources are indexed.
    """

    base: str
    now: datetime | None
    """None where what is understood is to hold later as well."""
    known: Known | None = None
    """Codes that were looked up; none where nothing can be."""
    words: bool = False
    blinding: Blinding | None = None
    """Of a tenant that is encrypted."""

    def on(self, resource_type: str) -> Asked:
        """As it is asked of a type whose index is readable, where it is."""
        readable = self.blinding is not None and resource_type in self.blinding.policy.clear_types
        return replace(self, blinding=None) if readable else self

    @property
    def moment(self) -> datetime:
        if self.now is None:
            raise Passing
        return self.now

    def codings(self, lookup: Lookup) -> Codings:
        if self.known is None:
            raise not_supported(
                "Value sets and hierarchies of codes (:in, :not-in, :above, :below) cannot be used here."
            )
        if lookup not in self.known:
            raise Unresolved(lookup)
        return self.known[lookup]


def any_of(filters: Sequence[Filter]) -> Filter:
    """Filters joined by OR."""
    return filters[0] if len(filters) == 1 else {"$or": list(filters)}


def all_of(filters: Sequence[Filter]) -> Filter:
    """Filters joined by AND, flat where no two speak of the same field."""
    keys = [key for each in filters for key in each]
    if len(keys) == len(set(keys)):
        return {key: value for each in filters for key, value in each.items()}
    return {"$and": [each for each in filters if each]}


def none_of(wanted: Filter) -> Filter:
    """The opposite of a filter."""
    return {"$nor": [wanted]}


def wide(code: str) -> str:
    """The name under which a parameter's wide rows are kept: ranges of numbers, and times of more than a day.

    Where a row ends is not what the indexes are sorted by. Narrow rows end close to where they begin, so a condition on
    their end bounds their beginning; the wide ones are few and are looked through.
    """
    return f"{code}~"


def entry_range(field: str, low: str, high: str) -> Filter:
    """Documents with an entry in [low, high)."""
    return {field: {"$elemMatch": {"$gte": low, "$lt": high}}}


def present(field: str, code: str) -> Filter:
    """Documents with any entry of a parameter: `code:…` and `code=…` are all that lie in this range."""
    return entry_range(field, f"{code}:", f"{code}>")


def present_row(field: str, code: str) -> Filter:
    """Documents with any row of a parameter in `dat` or `num`."""
    return row(field, [code, wide(code)], {})


def row(field: str, names: Sequence[str], wanted: Filter) -> Filter:
    """Documents with a row under one of the names that is as wanted."""
    name = names[0] if len(names) == 1 else {"$in": list(names)}
    return {field: {"$elemMatch": {"p": name, **wanted}}}
