"""The query string of a search, read against the parameters that work: nothing is dropped silently.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError, Issue, bad_value, not_supported
from fhir_server.search import apart, include
from fhir_server.search.blinding import check_sort
from fhir_server.search.contained import checked
from fhir_server.search.criteria import criterion, hint, parameter, too_costly, treatment
from fhir_server.search.filter import FILTER, expressed
from fhir_server.search.include import Include
from fhir_server.search.lookup import Known
from fhir_server.search.parameter import Parameter
from fhir_server.search.query import Criterion, Query, Sort
from fhir_server.search.registry import blinding
from fhir_server.search.term import Asked

MAX_VALUE = 4096
MAX_PARAMETERS = 100
MAX_JOINS = 20
MAX_SORTS = 10
MAX_ELEMENTS = 200

PASSED = frozenset({"_format", "_pretty", "_cursor"})
"""Parameters of the exchange and of paging: others read them."""

TOTALS = ("none", "estimate", "accurate")
SUMMARIES = ("true", "text", "data", "count", "false")


def parse(
    resource_types: tuple[str, ...],
    query: Sequence[tuple[str, str]],
    *,
    lenient: bool,
    base: str,
    max_count: int = 1000,
    default_count: int = 50,
    now: datetime | None = None,
    known: Known | None = None,
    words: bool = False,
    contained: bool = False,
    lasting: bool = False,
) -> Query:
    """A search of one type, of several or, with none, of all; `base` is the server's own URL for this tenant.

    Raises 400 for what is not understood; `lenient` ignores parameters that are not, and names them in `Query.ignored`.
    `known` are the codes that were looked up so far: `Unresolved` is raised where one more lookup is needed. Where
    `contained` the caller can also answer with contained resources. `Passing` is raised where the query is to be a
    `lasting` one and cannot be.
    """
    if len(query) > MAX_PARAMETERS:
        raise too_costly(f"The search has {len(query)} parameters; {MAX_PARAMETERS} are the most.")
    types = resource_types if len(resource_types) == 1 else _types(resource_types, query)
    asked = Asked(base, None if lasting else now or datetime.now(UTC), known, words, blinding())
    reading = _Reading(types, asked, lenient, max_count, default_count)
    reading.result = _RESULT | _CONTAINED if contained else _RESULT
    for name, value in query:
        if name not in PASSED and not (name == "_type" and len(resource_types) != 1):
            reading.read(name, value)
    return reading.query(tuple(each for each in query if each[0] == "_type" and len(resource_types) != 1))


def _types(resource_types: tuple[str, ...], query: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The types of a search over several. https://hl7.org/fhir/R4/search.html#type"""
    asked = [each for name, value in query if name == "_type" for each in value.split(",")]
    for each in asked:
        if each not in definitions.resource_types():
            raise bad_value(f"'{each}' in _type is not a resource type.{hint(each, definitions.resource_types())}")
        if resource_types and each not in resource_types:
            raise bad_value(f"'{each}' in _type is not among the types searched here: {', '.join(resource_types)}.")
    apart.check(set(asked))
    return tuple(dict.fromkeys(asked)) or resource_types


@dataclass(slots=True)
class _Reading:
    """A query on its way: parameters are read one by one."""

    types: tuple[str, ...]
    asked: Asked
    lenient: bool
    max_count: int
    count: int
    criteria: list[Criterion] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    sort: tuple[Sort, ...] = ()
    total: str | None = None
    summary: str | None = None
    explain: str = "false"
    contained: str = "false"
    contained_type: str = "container"
    result: Mapping[str, Callable[[_Reading, str], str]] = field(default_factory=dict)
    elements: tuple[str, ...] = ()
    ignored: list[Issue] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)

    def query(self, typed: tuple[tuple[str, str], ...]) -> Query:
        if self.includes and self.summary == "text":
            raise bad_value("_summary=text cannot be combined with _include or _revinclude.")
        found = Query(
            self.types,
            tuple(self.criteria),
            self.sort,
            self.count,
            self.total,
            self.summary,
            self.elements,
            tuple(self.ignored),
            (*typed, *self.applied),
            tuple(dict.fromkeys(self.includes)),
            self.explain == "true",
            self.contained,
            self.contained_type,
        )
        return checked(found)

    def read(self, name: str, value: str) -> None:
        """One parameter; without a value it asks nothing. https://hl7.org/fhir/R4/search.html#errors"""
        if not value:
            return
        if len(value.encode()) > MAX_VALUE:
            raise too_costly(f"The value of '{name}' has more than {MAX_VALUE} bytes.")
        if include.named(name):
            self.include(name, value)
            return
        if name in self.result:
            if any(name == each for each, _ in self.applied):
                raise bad_value(f"'{name}' is given twice.")
            self.apply(name, self.result[name](self, value))
            return
        try:
            wanted = self.criteria_of(name, value)
        except FhirError as problem:
            self.refuse(name, problem)
        else:
            self.add(wanted)
            self.apply(name, value)

    def criteria_of(self, name: str, value: str) -> tuple[Criterion, ...]:
        if name == FILTER:
            return expressed(self.types, value, self.asked)
        return (criterion(self.types, name, value, self.asked),)

    def include(self, name: str, value: str) -> None:
        try:
            wanted = include.parse(name, value)
        except FhirError as problem:
            self.refuse(name, problem)
        else:
            self.includes.append(wanted)
            self.apply(name, value)

    def refuse(self, name: str, problem: FhirError) -> None:
        """Raises, unless it is about something unknown that may be ignored."""
        if not self.lenient or any(issue.code != "not-supported" for issue in problem.issues):
            raise problem
        self.ignore(name, problem)

    def add(self, wanted: tuple[Criterion, ...]) -> None:
        self.criteria += wanted
        if sum(each.joins for each in self.criteria) > MAX_JOINS:
            raise too_costly(f"The search follows more than {MAX_JOINS} references in its conditions.")

    def apply(self, name: str, value: str) -> None:
        if value:
            self.applied.append((name, value))

    def ignore(self, name: str, problem: FhirError) -> None:
        """https://hl7.org/fhir/R4/search.html#errors"""
        self.ignored += [
            Issue("not-supported", f"'{name}' was ignored. {issue.diagnostics}", severity="warning")
            for issue in problem.issues
        ]


def _count(reading: _Reading, value: str) -> str:
    """https://hl7.org/fhir/R4/search.html#count"""
    if not (value.isascii() and value.isdigit()):
        raise bad_value(f"_count must be a whole number, zero or more, not '{value}'.")
    reading.count = min(int(value[:18]), reading.max_count)
    return str(reading.count)


def _one_of(attribute: str, allowed: tuple[str, ...], name: str = "") -> Callable[[_Reading, str], str]:
    def read(reading: _Reading, value: str) -> str:
        if value not in allowed:
            raise bad_value(f"_{name or attribute} must be {', '.join(allowed[:-1])} or {allowed[-1]}, not '{value}'.")
        setattr(reading, attribute, value)
        return value

    return read


def _elements(reading: _Reading, value: str) -> str:
    """https://hl7.org/fhir/R4/search.html#elements"""
    names = tuple(dict.fromkeys(each.strip() for each in value.split(",")))
    if len(names) > MAX_ELEMENTS:
        raise too_costly(f"_elements names {len(names)} elements; {MAX_ELEMENTS} are the most.")
    reading.elements = tuple(
        each.rpartition(".")[2] if each.partition(".")[0] in reading.types else each for each in names
    )
    known = {
        element.name
        for each in reading.types or definitions.resource_types()
        for element in definitions.structure(each).elements[each]
    }
    for each in reading.elements:
        if each not in known:
            raise bad_value(f"'{each}' in _elements is not an element of {_listed(reading.types)}.{hint(each, known)}")
    return ",".join(names)


def _listed(types: tuple[str, ...]) -> str:
    return " or ".join(types) if types else "any resource type"


def _sort(reading: _Reading, value: str) -> str:
    """https://hl7.org/fhir/R4/search.html#sort"""
    keys = value.split(",")
    if len(keys) > MAX_SORTS:
        raise too_costly(f"_sort has {len(keys)} keys; {MAX_SORTS} are the most.")
    wanted: list[Sort] = []
    for key in keys:
        try:
            found = [_sortable(key.removeprefix("-"), each, reading.asked) for each in reading.types or ("",)]
        except FhirError as problem:
            reading.refuse(f"_sort={key}", problem)
        else:
            if len({each.kind for each in found}) > 1:
                raise bad_value(f"'{key}' in _sort is a parameter of a different type in each of the types searched.")
            wanted.append(Sort(found[0], key.startswith("-")))
    reading.sort = tuple(wanted)
    return ",".join(f"{'-' if each.descending else ''}{each.parameter.code}" for each in wanted)


def _sortable(code: str, resource_type: str, asked: Asked) -> Parameter:
    found = parameter(code, resource_type)
    check_sort(found, treatment(found, resource_type, asked))
    if found.kind == "composite":
        raise not_supported(f"'{code}' is a composite parameter, whose values have no order.")
    if found.kind == "near":
        raise not_supported("Results are not sorted by distance.")
    return found


_RESULT: dict[str, Callable[[_Reading, str], str]] = {
    "_count": _count,
    "_sort": _sort,
    "_elements": _elements,
    "_total": _one_of("total", TOTALS),
    "_summary": _one_of("summary", SUMMARIES),
    "_explain": _one_of("explain", ("true", "false")),
}
"""Parameters that shape the result: each returns its value as applied. https://hl7.org/fhir/R4/search.html#summary"""

_CONTAINED: dict[str, Callable[[_Reading, str], str]] = {
    "_contained": _one_of("contained", ("true", "both", "false")),
    "_containedType": _one_of("contained_type", ("container", "contained"), "containedType"),
}
"""https://hl7.org/fhir/R4/search.html#contained"""
