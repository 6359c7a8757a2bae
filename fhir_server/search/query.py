"""A search as understood: what is asked, in which order, how much of it; and what was ignored, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from fhir_server.fhir.outcome import Issue
from fhir_server.search.include import Include
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Term


@dataclass(frozen=True, slots=True)
class Join:
    """A condition on other resources that a reference connects with those searched for: `source` finds the others.

    `code` is the reference: theirs to the others, or of the others to them where `reverse`. A `canonical` one names the
    others by their URL. https://hl7.org/fhir/R4/search.html#chaining https://hl7.org/fhir/R4/search.html#has
    """

    code: str
    source: Query
    reverse: bool
    canonical: bool = False
    own: tuple[str, ...] = ()
    """Where `reverse`: the types searched for that can be referred to."""


@dataclass(frozen=True, slots=True)
class Logic:
    """Criteria joined by `and` or `or`, or one that must `not` be met. https://hl7.org/fhir/R4/search_filter.html"""

    operator: str
    parts: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One search parameter with its values, which are joined by OR.

    With a `join` the term finds nothing until the others have been found and `joins.resolved` says which they are.
    """

    parameter: Parameter
    modifier: str
    term: Term
    join: Join | None = None
    logic: Logic | None = None

    @property
    def joins(self) -> int:
        """How many references it follows."""
        if self.logic:
            return sum(each.joins for each in self.logic.parts)
        return 1 + sum(each.joins for each in self.join.source.criteria) if self.join else 0


@dataclass(frozen=True, slots=True)
class Sort:
    """https://hl7.org/fhir/R4/search.html#sort"""

    parameter: Parameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """`resource_types` is empty where the search is over every type."""

    resource_types: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    sort: tuple[Sort, ...]
    count: int
    total: str | None
    summary: str | None
    elements: tuple[str, ...]
    ignored: tuple[Issue, ...]
    applied: tuple[tuple[str, str], ...]
    """The parameters that had an effect, in order: no others are in the self link."""
    includes: tuple[Include, ...] = ()
    explain: bool = False
    """Not the matches are wanted, but how they are found."""
    contained: str = "false"
    """Whether `true`, only, or `both`, also, contained resources are searched."""
    contained_type: str = "container"
    """Whether of these the `container` or the `contained` resource itself is answered."""

    kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was worked out for it, for when the same is asked again; see `search.remembered`."""

    @classmethod
    def of(cls, resource_types: tuple[str, ...], *criteria: Criterion) -> Query:
        """Conditions alone, of which no page is shown."""
        return cls(resource_types, criteria, (), 0, None, None, (), (), ())

    @property
    def counts_only(self) -> bool:
        """Only the number of matches is wanted. https://hl7.org/fhir/R4/search.html#count"""
        return self.count == 0 or self.summary == "count"

    @property
    def shaped(self) -> bool:
        """Parts of the resources only are wanted."""
        return bool(self.elements) or self.summary in ("true", "text", "data")

    def self_link(self) -> str:
        """The query string that says exactly what was applied. https://hl7.org/fhir/R4/search.html#conformance"""
        if "link" not in self.kept:
            self.kept["link"] = urlencode(self.applied, quote_via=quote, safe=":/,$")
        link: str = self.kept["link"]
        return link
