"""`_filter`: tests joined by `and`, `or` and `not`, compiled to the criteria that parameters of their own would make.

`and` and `or` have no precedence: they are taken from left to right, as parentheses do not say otherwise.
https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import msgspec

from fhir_server.fhir.outcome import FhirError, Issue, bad_value, not_supported
from fhir_server.search import criteria
from fhir_server.search.criteria import HAS, MAX_DEPTH, over_types, parameter, referred, referred_from, too_costly
from fhir_server.search.logic import combined
from fhir_server.search.operators import OPERATORS, asks
from fhir_server.search.query import Criterion
from fhir_server.search.term import Asked

FILTER = "_filter"
MAX_TESTS = 100
MAX_NESTED = 20

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-:]*")
_WORD = re.compile(r"[A-Za-z]+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PLAIN = re.compile(r'[^\s()\[\]"][^\s)\]]*')
_NOT = re.compile(r"not\s*(?=\()")
_SPACE = re.compile(r"\s*")
_COMMA = re.compile(r"\\.|,", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Hop:
    """A name on the way to a value, and what is asked of the resource that it leads to."""

    name: str
    kept: Expression | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """`path operator value`, found at a place in the text."""

    path: tuple[Hop, ...]
    operator: str
    value: str
    at: int


@dataclass(frozen=True, slots=True)
class Joined:
    operator: str
    parts: tuple[Expression, ...]


Expression = Test | Joined


class _Reader:
    """Recursive descent over the text; what is wrong is refused with its place."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.tests = 0

    def whole(self) -> Expression:
        found = self.joined(0)
        if self.at < len(self.text):
            raise self.wrong("'and', 'or' or the end")
        return found

    def joined(self, depth: int) -> Expression:
        if depth > MAX_NESTED:
            raise too_costly(f"The expression in _filter is nested more than {MAX_NESTED} deep.")
        found = self.single(depth)
        while operator := self.word("and", "or"):
            same = isinstance(found, Joined) and found.operator == operator
            before = found.parts if isinstance(found, Joined) and same else (found,)
            found = Joined(operator, (*before, self.single(depth)))
        return found

    def single(self, depth: int) -> Expression:
        if self.taken(_NOT):
            return Joined("not", (self.enclosed("(", ")", depth),))
        if self.text.startswith("(", self.at):
            return self.enclosed("(", ")", depth)
        return self.test(depth)

    def enclosed(self, start: str, end: str, depth: int) -> Expression:
        self.mark(start)
        found = self.joined(depth + 1)
        self.mark(end)
        return found

    def test(self, depth: int) -> Test:
        at = self.at
        self.tests += 1
        if self.tests > MAX_TESTS:
            raise too_costly(f"The expression in _filter has more than {MAX_TESTS} tests.")
        path = self.path(depth)
        operator = self.word(*OPERATORS)
        if not operator:
            raise self.wrong(f"one of the operators {', '.join(OPERATORS)}")
        return Test(path, operator, self.value(), at + 1)

    def path(self, depth: int) -> tuple[Hop, ...]:
        found = [self.hop(depth)]
        while self.text.startswith(".", self.at):
            self.at += 1
            found.append(self.hop(depth))
        self.space()
        return tuple(found)

    def hop(self, depth: int) -> Hop:
        name = _NAME.match(self.text, self.at)
        if name is None:
            raise self.wrong("the name of a search parameter")
        self.at = name.end()
        if not self.text.startswith("[", self.at):
            return Hop(name.group())
        self.mark("[")
        kept = self.joined(depth + 1)
        if not self.text.startswith("]", self.at):
            raise self.wrong("']'")
        self.at += 1
        return Hop(name.group(), kept)

    def value(self) -> str:
        quoted = self.taken(_STRING)
        if quoted is not None:
            return self.unquoted(quoted)
        found = self.taken(_PLAIN)
        if found is None:
            raise self.wrong("a value")
        return found

    def unquoted(self, quoted: str) -> str:
        try:
            return msgspec.json.decode(quoted.encode(), type=str)
        except (msgspec.DecodeError, UnicodeEncodeError) as problem:
            raise bad_value(f"_filter: {quoted} before character {self.at + 1} is not a JSON string.") from problem

    def word(self, *expected: str) -> str:
        found = _WORD.match(self.text, self.at)
        if found is None or found.group() not in expected:
            return ""
        self.at = found.end()
        self.space()
        return found.group()

    def taken(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        self.space()
        return found.group()

    def mark(self, text: str) -> None:
        if not self.text.startswith(text, self.at):
            raise self.wrong(f"'{text}'")
        self.at += 1
        self.space()

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def wrong(self, expected: str) -> FhirError:
        seen = f"'{self.text[self.at : self.at + 20]}'" if self.at < len(self.text) else "the end"
        return bad_value(f"_filter: at character {self.at + 1} there must be {expected}, not {seen}.")


def read(text: str) -> Expression:
    return _Reader(text.strip()).whole()


def expressed(types: tuple[str, ...], text: str, asked: Asked) -> tuple[Criterion, ...]:
    """The criteria of an expression, all of which must be met."""
    return _all(types, read(text), asked, 0)


def _all(types: tuple[str, ...], expression: Expression, asked: Asked, depth: int) -> tuple[Criterion, ...]:
    """Tests joined by `and` on top are criteria of their own, of which each may enter an index."""
    if isinstance(expression, Joined) and expression.operator == "and":
        return tuple(found for each in expression.parts for found in _all(types, each, asked, depth))
    return (_one(types, expression, asked, depth),)


def _one(types: tuple[str, ...], expression: Expression, asked: Asked, depth: int) -> Criterion:
    if isinstance(expression, Joined):
        return combined(expression.operator, [_one(types, each, asked, depth) for each in expression.parts])
    try:
        return _tested(types, expression, asked, depth)
    except FhirError as problem:
        raise _placed(problem, expression.at) from problem


def _tested(types: tuple[str, ...], test: Test, asked: Asked, depth: int) -> Criterion:
    if depth > MAX_DEPTH:
        raise too_costly(f"A path follows more than {MAX_DEPTH} references.")
    first, *others = test.path
    if first.name.startswith(HAS):
        return referred_from(types, first.name, lambda known, rest: (_onward(known, rest, first, test, asked, depth),))
    if not others:
        return _ended(types, first, test, asked)
    rest = ".".join(each.name for each in others)
    return referred(types, first.name, rest, lambda known: _beyond(known, first, test, asked, depth))


def _onward(known: tuple[str, ...], rest: str, first: Hop, test: Test, asked: Asked, depth: int) -> Criterion:
    path = (replace(first, name=rest), *test.path[1:])
    return _tested(known, replace(test, path=path), asked, depth + 1)


def _beyond(known: tuple[str, ...], first: Hop, test: Test, asked: Asked, depth: int) -> tuple[Criterion, ...]:
    """What is asked of the resource referred to: the rest of the path, and what the brackets say of the same one."""
    kept = _all(known, first.kept, asked, depth + 1) if first.kept else ()
    return (*kept, _tested(known, replace(test, path=test.path[1:]), asked, depth + 1))


def _ended(types: tuple[str, ...], last: Hop, test: Test, asked: Asked) -> Criterion:
    if last.kept:
        raise bad_value(f"After '{last.name}[…]' the path must go on: '.' and a parameter of what it refers to.")
    if ":" in last.name:
        raise not_supported(f"'{last.name}' has a modifier, of which a filter has none; it has operators.")
    value = _COMMA.sub(lambda found: "\\," if found.group() == "," else found.group(), test.value)
    if test.operator == "pr":
        return _present(types, last.name, value, asked)
    if not value:
        raise bad_value(f"'{last.name}' is compared with an empty value.")
    found = [parameter(last.name, each) for each in types or ("",)]
    terms = [asks(test.operator, value, asked, name)(each) for name, each in zip(types or ("",), found, strict=True)]
    return Criterion(found[0], "", over_types(types, terms))


def _present(types: tuple[str, ...], code: str, value: str, asked: Asked) -> Criterion:
    opposite: dict[str, str] = {"true": "false", "false": "true"}
    if value not in opposite:
        raise bad_value(f"'{code} pr' is true or false, not '{value}'.")
    return criteria.criterion(types, f"{code}:missing", opposite[value], asked)


def _placed(problem: FhirError, at: int) -> FhirError:
    """The place of the test, once: inner ones name their own."""
    if problem.issues[0].diagnostics.startswith(f"{FILTER}: "):
        return problem
    issues = [Issue(each.code, f"{FILTER}: at character {at}: {each.diagnostics}") for each in problem.issues]
    return FhirError(issues, status=problem.status)
