"""The query string of a search, read against the parameters that work: nothing is dropped silently.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError, Issue, bad_value, error, not_supported
from fhir_server.search import registry
from fhir_server.search.parameter import Parameter
from fhir_server.search.query import Criterion, Query, Sort
from fhir_server.search.term import NOTHING, Asked, Filter, Term, any_of, none_of, present, present_row
from fhir_server.search.types import reference
from fhir_server.search.values import alternatives

MAX_VALUE = 4096
MAX_ALTERNATIVES = 1000
MAX_PARAMETERS = 100
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
) -> Query:
    """A search of one type, of several or, with none, of all; `base` is the server's own URL for this tenant.

    Raises 400 for what is not understood; `lenient` ignores parameters that are not, and names them in `Query.ignored`.
    """
    if len(query) > MAX_PARAMETERS:
        raise _too_costly(f"The search has {len(query)} parameters; {MAX_PARAMETERS} are the most.")
    types = resource_types if len(resource_types) == 1 else _types(resource_types, query)
    reading = _Reading(types, Asked(base, now or datetime.now(UTC)), lenient, max_count, default_count)
    for name, value in query:
        if name not in PASSED and not (name == "_type" and len(resource_types) != 1):
            reading.read(name, value)
    return reading.query(tuple(each for each in query if each[0] == "_type" and len(resource_types) != 1))


def _types(resource_types: tuple[str, ...], query: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The types of a search over several. https://hl7.org/fhir/R4/search.html#type"""
    asked = [each for name, value in query if name == "_type" for each in value.split(",")]
    for each in asked:
        if each not in definitions.resource_types():
            raise bad_value(f"'{each}' in _type is not a resource type.{_hint(each, definitions.resource_types())}")
        if resource_types and each not in resource_types:
            raise bad_value(f"'{each}' in _type is not among the types searched here: {', '.join(resource_types)}.")
    return tuple(dict.fromkeys(asked)) or resource_types


def _too_costly(diagnostics: str) -> FhirError:
    return error("too-costly", diagnostics, status=400)


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


@dataclass(slots=True)
class _Reading:
    """A query on its way: parameters are read one by one."""

    types: tuple[str, ...]
    asked: Asked
    lenient: bool
    max_count: int
    count: int
    criteria: list[Criterion] = field(default_factory=list)
    sort: tuple[Sort, ...] = ()
    total: str | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    ignored: list[Issue] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)

    def query(self, typed: tuple[tuple[str, str], ...]) -> Query:
        return Query(
            self.types,
            tuple(self.criteria),
            self.sort,
            self.count,
            self.total,
            self.summary,
            self.elements,
            tuple(self.ignored),
            (*typed, *self.applied),
        )

    def read(self, name: str, value: str) -> None:
        """One parameter; without a value it asks nothing. https://hl7.org/fhir/R4/search.html#errors"""
        if not value:
            return
        if len(value.encode()) > MAX_VALUE:
            raise _too_costly(f"The value of '{name}' has more than {MAX_VALUE} bytes.")
        if name in _RESULT:
            if any(name == each for each, _ in self.applied):
                raise bad_value(f"'{name}' is given twice.")
            self.apply(name, _RESULT[name](self, value))
            return
        try:
            wanted = self.criterion(name, value)
        except FhirError as problem:
            if not self.lenient or any(issue.code != "not-supported" for issue in problem.issues):
                raise
            self.ignore(name, problem)
        else:
            self.criteria.append(wanted)
            self.apply(name, value)

    def apply(self, name: str, value: str) -> None:
        if value:
            self.applied.append((name, value))

    def ignore(self, name: str, problem: FhirError) -> None:
        """https://hl7.org/fhir/R4/search.html#errors"""
        self.ignored += [
            Issue("not-supported", f"'{name}' was ignored. {issue.diagnostics}", severity="warning")
            for issue in problem.issues
        ]

    def criterion(self, name: str, value: str) -> Criterion:
        code, _, modifier = name.partition(":")
        values = alternatives(value)
        if len(values) > MAX_ALTERNATIVES:
            raise _too_costly(f"'{name}' has {len(values)} values; {MAX_ALTERNATIVES} are the most.")
        if not all(values):
            raise bad_value(f"One of the values of '{name}' is empty: '{value}'.")
        found = [self.parameter(code, each) for each in self.types or ("",)]
        terms = [_term(parameter, modifier, values, self.asked) for parameter in found]
        return Criterion(found[0], modifier, _over_types(self.types, terms))

    def parameter(self, code: str, resource_type: str) -> Parameter:
        known = _known(resource_type)
        if code not in known:
            raise not_supported(_unknown(code, resource_type, known))
        return known[code]


def _known(resource_type: str) -> Mapping[str, Parameter]:
    """Parameters of a type, or those that every type has."""
    if resource_type:
        return registry.parameters(resource_type)
    return {code: found for code, found in registry.parameters("Basic").items() if code.startswith("_")}


def _unknown(code: str, resource_type: str, known: Mapping[str, Parameter]) -> str:
    where = resource_type or "every resource type"
    if "." in code:
        return f"Chained search parameters such as '{code}' are not supported."
    if code in registry.NOT_SUPPORTED:
        return f"The search parameter '{code}' is not supported: {registry.NOT_SUPPORTED[code].lower()}."
    if resource_type and code in definitions.search_parameters(resource_type):
        kind = definitions.search_parameters(resource_type)[code].type
        return f"The search parameter '{code}' of {resource_type} is not supported: it is of type {kind}."
    return f"'{code}' is not a search parameter of {where}.{_hint(code, known)}"


def _term(parameter: Parameter, modifier: str, values: Sequence[str], asked: Asked) -> Term:
    if modifier == "missing":
        return _missing(parameter, values)
    return _condition(parameter, modifier)(parameter, values, asked)


def _condition(parameter: Parameter, modifier: str) -> registry.Condition:
    modifiers = registry.MODIFIERS[parameter.kind]
    if modifier in modifiers:
        return modifiers[modifier]
    if parameter.kind == "reference" and modifier in definitions.resource_types():
        if modifier not in parameter.targets:
            raise bad_value(
                f"'{parameter.code}' cannot refer to a {modifier}, only to {' or '.join(parameter.targets)}."
            )
        return reference.of_type(modifier)
    if "." in modifier:
        raise not_supported(f"Chained search parameters such as '{parameter.code}:{modifier}' are not supported.")
    raise not_supported(
        f"The modifier ':{modifier}' is not supported on '{parameter.code}', which is of type {parameter.kind}. "
        f"Supported are {', '.join(f':{each}' for each in registry.modifiers(parameter))}."
    )


def _missing(parameter: Parameter, values: Sequence[str]) -> Term:
    """https://hl7.org/fhir/R4/search.html#modifiers"""
    if list(values) not in (["true"], ["false"]):
        raise bad_value(f"'{parameter.code}:missing' is true or false, not '{','.join(values)}'.")
    found = _presence(parameter)
    return Term(none_of(found) if values[0] == "true" else found)


def _presence(parameter: Parameter) -> Filter:
    if parameter.kind not in registry.FIELDS:
        return none_of(NOTHING)
    field = registry.FIELDS[parameter.kind]
    if field in ("tok", "str"):
        return present(field, parameter.code)
    return present_row(field, parameter.code)


def _over_types(types: tuple[str, ...], terms: list[Term]) -> Term:
    """One term for all types; where a parameter means different entries, each type has its own."""
    if all(term == terms[0] for term in terms):
        return terms[0]
    return Term(any_of([{"rt": name, **_apart(term.filter)} for name, term in zip(types, terms, strict=True)]))


def _apart(wanted: Filter) -> Filter:
    return {"$and": [wanted]} if "rt" in wanted else wanted


def _count(reading: _Reading, value: str) -> str:
    """https://hl7.org/fhir/R4/search.html#count"""
    if not (value.isascii() and value.isdigit()):
        raise bad_value(f"_count must be a whole number, zero or more, not '{value}'.")
    reading.count = min(int(value[:18]), reading.max_count)
    return str(reading.count)


def _one_of(name: str, allowed: tuple[str, ...]) -> Callable[[_Reading, str], str]:
    def read(reading: _Reading, value: str) -> str:
        if value not in allowed:
            raise bad_value(f"_{name} must be {', '.join(allowed[:-1])} or {allowed[-1]}, not '{value}'.")
        setattr(reading, name, value)
        return value

    return read


def _elements(reading: _Reading, value: str) -> str:
    """https://hl7.org/fhir/R4/search.html#elements"""
    names = tuple(dict.fromkeys(each.strip() for each in value.split(",")))
    if len(names) > MAX_ELEMENTS:
        raise _too_costly(f"_elements names {len(names)} elements; {MAX_ELEMENTS} are the most.")
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
            raise bad_value(f"'{each}' in _elements is not an element of {_listed(reading.types)}.{_hint(each, known)}")
    return ",".join(names)


def _listed(types: tuple[str, ...]) -> str:
    return " or ".join(types) if types else "any resource type"


def _sort(reading: _Reading, value: str) -> str:
    """https://hl7.org/fhir/R4/search.html#sort"""
    keys = value.split(",")
    if len(keys) > MAX_SORTS:
        raise _too_costly(f"_sort has {len(keys)} keys; {MAX_SORTS} are the most.")
    wanted: list[Sort] = []
    for key in keys:
        try:
            found = [reading.parameter(key.removeprefix("-"), each) for each in reading.types or ("",)]
        except FhirError as problem:
            if not reading.lenient:
                raise
            reading.ignore(f"_sort={key}", problem)
        else:
            wanted.append(Sort(found[0], key.startswith("-")))
    reading.sort = tuple(wanted)
    return ",".join(f"{'-' if each.descending else ''}{each.parameter.code}" for each in wanted)


_RESULT: dict[str, Callable[[_Reading, str], str]] = {
    "_count": _count,
    "_sort": _sort,
    "_elements": _elements,
    "_total": _one_of("total", TOTALS),
    "_summary": _one_of("summary", SUMMARIES),
}
"""Parameters that shape the result: each returns its value as applied. https://hl7.org/fhir/R4/search.html#summary"""
