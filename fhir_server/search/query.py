"""A search as understood: what is asked, in which order, how much of it; and what was ignored, by name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fhir_server.fhir.outcome import Issue
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Term


@dataclass(frozen=True, slots=True)
class Criterion:
    """One search parameter with its values, which are joined by OR."""

    parameter: Parameter
    modifier: str
    term: Term


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
        return urlencode(self.applied, quote_via=quote, safe=":/,$")
