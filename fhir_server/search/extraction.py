"""The extractor of a resource type: all its search parameters merged into one walk over the JSON, compiled once.

Routes that begin alike share their steps, and parameters that end at the same value share the reading of it, so that an
element is visited once however many parameters look at it, and an element that none looks at costs one failed look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fhir_server.search.combining import combiner
from fhir_server.search.expression import Equals, Extended, Refers
from fhir_server.search.own import ParameterSet
from fhir_server.search.parameter import Context
from fhir_server.search.registry import INDEX, parameters
from fhir_server.search.routes import Step, Test
from fhir_server.search.types import composite, date, number, position, quantity, reference, token

Codes = tuple[str, ...]
Row = dict[str, Any]


class Rows:
    """What one walk collects."""

    __slots__ = ("base", "dates", "numbers", "point", "resource", "strings", "tokens")

    def __init__(self, base: str, resource: Mapping[str, Any]) -> None:
        self.base = base
        self.resource = resource
        self.tokens: list[str] = []
        self.strings: list[str] = []
        self.dates: list[Row] = []
        self.numbers: list[Row] = []
        self.point: position.Point | None = None


Visit = Callable[[Any, Rows], None]
Reader = Callable[[str, str, Codes], Visit]
RowsOf = Callable[[str, Any], Iterable[Row]]


def _tokens(type_name: str, kind: str, codes: Codes) -> Visit:
    entries = INDEX[kind][type_name]
    texts = token.TEXT.get(type_name) if kind == "token" else None

    def visit(value: Any, rows: Rows) -> None:
        found = entries(value)
        for code in codes:
            rows.tokens += [code + each for each in found]
        if texts:
            beside = texts(value)
            for code in codes:
                rows.strings += [code + each for each in beside]

    return visit


def _references(type_name: str, _: str, codes: Codes) -> Visit:
    entries = reference.INDEX[type_name]

    def visit(value: Any, rows: Rows) -> None:
        found = entries(value)
        if rows.base:
            found = [each.replace(rows.base, "=", 1) if each.startswith(rows.base) else each for each in found]
        for code in codes:
            rows.tokens += [code + each for each in found]

    return visit


def _strings(type_name: str, kind: str, codes: Codes) -> Visit:
    entries = INDEX[kind][type_name]

    def visit(value: Any, rows: Rows) -> None:
        found = entries(value)
        for code in codes:
            rows.strings += [code + each for each in found]

    return visit


def _ranges(index: Mapping[str, Callable[[Any], Any]], rows_of: RowsOf, kept: Callable[[Rows], list[Row]]) -> Reader:
    """A reader of what is searched as ranges: how its types are read, written and kept."""

    def reader(type_name: str, _: str, codes: Codes) -> Visit:
        entries = index[type_name]

        def visit(value: Any, rows: Rows) -> None:
            found, into = entries(value), kept(rows)
            for code in codes:
                into += rows_of(code, found)

        return visit

    return reader


def _positions(type_name: str, *_: Any) -> Visit:
    points = position.INDEX[type_name]

    def visit(value: Any, rows: Rows) -> None:
        for each in points(value):
            rows.point = each

    return visit


READERS: dict[str, Reader] = {
    "string": _strings,
    "phonetic": _strings,
    "token": _tokens,
    "reference": _references,
    "uri": _tokens,
    "date": _ranges(date.INDEX, date.rows, lambda rows: rows.dates),
    "number": _ranges(number.INDEX, number.rows, lambda rows: rows.numbers),
    "quantity": _ranges(quantity.INDEX, quantity.rows, lambda rows: rows.numbers),
    "near": _positions,
}
"""By kind of parameter: reads one value for all parameters that end at it."""


@dataclass(slots=True)
class _Node:
    """A place in the walk: steps onward, and which parameters of which search type read the value here."""

    onward: dict[Step, _Node] = field(default_factory=dict)
    readers: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)
    """By name: what composites combine of this value."""


def _tree(resource_type: str, added: ParameterSet) -> _Node:
    root = _Node()
    for parameter in parameters(resource_type, added).values():
        for route in parameter.routes:
            if parameter.kind in READERS and not route.truth:
                _end(root, route.steps).readers.setdefault((route.type, parameter.kind), []).append(parameter.code)
        for context in parameter.contexts:
            _end(root, context.steps).contexts[context.name] = context
    return root


def _end(node: _Node, steps: Iterable[Step]) -> _Node:
    for step in steps:
        node = node.onward.setdefault(step, _Node())
    return node


def _visit(node: _Node) -> Visit:
    """Everything that is done with one value."""
    visits = [READERS[kind](type_name, kind, tuple(codes)) for (type_name, kind), codes in node.readers.items()]
    visits += [_combined(each) for each in node.contexts.values()]
    if node.onward:
        visits.append(_properties(node.onward))
    return _in_turn(visits)


def _combined(context: Context) -> Visit:
    """https://hl7.org/fhir/R4/search.html#composite"""
    combine = combiner(context)
    dated = composite.field(context.parts[1].parameter.kind) == "dat"

    def visit(value: Any, rows: Rows) -> None:
        found = combine(value, rows.resource, rows.base)
        if dated:
            rows.dates += found
        else:
            rows.numbers += found

    return visit


def _in_turn(visits: list[Visit]) -> Visit:
    if len(visits) == 1:
        return visits[0]

    def visit(value: Any, rows: Rows) -> None:
        for each in visits:
            each(value, rows)

    return visit


def _properties(onward: Mapping[Step, _Node]) -> Visit:
    """Into the properties of an object, those that it has."""
    grouped: dict[str, list[Visit]] = {}
    for step, node in onward.items():
        grouped.setdefault(step.key, []).append(_kept(step, _visit(node)))
    table = {key: _in_turn(visits) for key, visits in grouped.items()}
    known = table.get

    def visit(value: Mapping[str, Any], rows: Rows) -> None:
        for key, found in value.items():
            into = known(key)
            if into is not None:
                into(found, rows)

    return visit


def _kept(step: Step, inner: Visit) -> Visit:
    """The values of one property that the step keeps, one by one; the gaps in arrays of primitives are passed over."""
    if step.tests:
        inner = _tested(step.tests, inner)
    if not step.many:
        return inner

    def visit(values: list[Any], rows: Rows) -> None:
        for each in values if step.position is None else values[step.position : step.position + 1]:
            if each is not None:
                inner(each, rows)

    return visit


def _tested(tests: Iterable[Test], inner: Visit) -> Visit:
    checks = tuple(_CHECKS[type(test)](test) for test in tests)

    def visit(value: Any, rows: Rows) -> None:
        if all(check(value) for check in checks):
            inner(value, rows)

    return visit


def _equals(test: Equals) -> Callable[[Any], bool]:
    return lambda value: bool(value.get(test.name) == test.value)


def _extended(test: Extended) -> Callable[[Any], bool]:
    return lambda value: any(each.get("url") == test.url for each in value.get("extension", ()))


def _refers(test: Refers) -> Callable[[Any], bool]:
    return lambda value: reference.target(value) == test.type


_CHECKS: dict[type[Test], Callable[[Any], Callable[[Any], bool]]] = {
    Equals: _equals,
    Extended: _extended,
    Refers: _refers,
}


def _truths(resource_type: str, added: ParameterSet) -> list[tuple[str, Visit]]:
    """Parameters that are true or false for every resource, each with the walk that finds what makes it true."""
    found = []
    for parameter in parameters(resource_type, added).values():
        root = _Node()
        for route in parameter.routes:
            if route.truth:
                _end(root, route.steps).readers[("boolean" if route.type == "boolean" else "string", "token")] = [""]
        if root.onward:
            found.append((parameter.code, _visit(root)))
    return found


def extractor(resource_type: str, added: ParameterSet) -> Callable[[Mapping[str, Any], str], Rows]:
    """Reads all index entries from a resource of this type."""
    return _extractor(resource_type, added.on(resource_type))


@lru_cache(maxsize=2048)
def _extractor(resource_type: str, added: ParameterSet) -> Callable[[Mapping[str, Any], str], Rows]:
    walk = _visit(_tree(resource_type, added))
    truths = _truths(resource_type, added)

    def extract(resource: Mapping[str, Any], base: str) -> Rows:
        rows = Rows(base, resource)
        walk(resource, rows)
        for code, find in truths:
            seen = Rows(base, resource)
            find(resource, seen)
            rows.tokens.append(f"{code}:{'true' if any(each != ':false' for each in seen.tokens) else 'false'}")
        return rows

    return extract
