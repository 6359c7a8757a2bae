"""The part of FHIRPath that says where an element is: names, indexers, `where` with equality, `extension(url)`.
http://hl7.org/fhirpath/N1/#path-selection

Every other expression is refused, so that none can mean something else here than elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from fhir_server.fhir.patch import Unpatchable

MAX_LENGTH: Final = 1_000

Literal = str | int | Decimal | bool


@dataclass(frozen=True, slots=True)
class Child:
    """The children of one name: `name`, and `value` for any of `valueQuantity`, `valueString`, …"""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """`[0]`"""

    index: int


@dataclass(frozen=True, slots=True)
class Equal:
    """`use = 'home'`, the left side relative to the element that is looked at."""

    names: tuple[str, ...]
    literal: Literal


@dataclass(frozen=True, slots=True)
class Where:
    """`where(system = 'phone' and use = 'home')`"""

    conditions: tuple[Equal, ...]


Step = Child | Item | Where

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|`(?P<quoted>[^`\\]*)`|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<mark>[.\[\]()=]))"
)
_ESCAPED: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_TRUTH: Final = {"true": True, "false": False}


def parse(text: str) -> tuple[Step, ...]:
    """`Patient.telecom.where(system = 'phone')[0].value`, with or without the type in front."""
    if len(text) > MAX_LENGTH:
        raise Unpatchable(f"The path is longer than {MAX_LENGTH:,} characters.")
    reader = _Reader(text)
    steps = list(reader.steps())
    if reader.kind:
        raise reader.refusal()
    return tuple(steps)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _refused(text, text[at:].strip()[:20])
        kind = token.lastgroup or ""
        found.append((kind, token[kind]))
        at = token.end()
    return found


def _refused(text: str, seen: str) -> Unpatchable:
    return Unpatchable(
        f"'{seen}' in the path '{text[:200]}' is not supported; names, [index], where(name = 'value') and "
        "extension('url') are."
    )


class _Reader:
    """Reads a path from left to right; each method takes what it is named after."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    @property
    def kind(self) -> str:
        """Of the next token; nothing at the end."""
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    @property
    def next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else "the end"

    def refusal(self) -> Unpatchable:
        return _refused(self._text, self.next)

    def take(self, kind: str, text: str = "") -> str:
        if self.kind != kind or (text and self.next != text):
            raise self.refusal()
        self._at += 1
        return self._tokens[self._at - 1][1]

    def accepts(self, kind: str, text: str) -> bool:
        found = self.kind == kind and self.next == text
        self._at += found
        return found

    def steps(self) -> Iterator[Step]:
        yield from self.member()
        while self.kind == "mark":
            if self.accepts("mark", "["):
                yield Item(int(self.take("number")) if self.next.isdigit() else self._no_index())
                self.take("mark", "]")
            elif self.accepts("mark", "."):
                yield from self.member()
            else:
                raise self.refusal()

    def member(self) -> Iterator[Step]:
        name = self.name()
        if not self.accepts("mark", "("):
            yield Child(name)
        elif name == "where":
            yield Where(tuple(self.conditions()))
            self.take("mark", ")")
        elif name == "extension":
            yield Child(name)
            yield Where((Equal(("url",), self.string()),))
            self.take("mark", ")")
        else:
            raise _refused(self._text, f"{name}()")

    def name(self) -> str:
        return self.take("quoted") if self.kind == "quoted" else self.take("name")

    def conditions(self) -> Iterator[Equal]:
        yield self.condition()
        while self.accepts("name", "and"):
            yield self.condition()

    def condition(self) -> Equal:
        names = [self.name()]
        while self.accepts("mark", "."):
            names.append(self.name())
        self.take("mark", "=")
        return Equal(tuple(names), self.literal())

    def literal(self) -> Literal:
        if self.kind == "number":
            text = self.take("number")
            return Decimal(text) if "." in text else int(text)
        if self.kind == "name" and self.next in _TRUTH:
            return _TRUTH[self.take("name")]
        return self.string()

    def string(self) -> str:
        text = self.take("string")[1:-1]
        return _ESCAPED.sub(lambda each: _unescaped(each[1]), text)

    def _no_index(self) -> int:
        raise self.refusal()


def _unescaped(sequence: str) -> str:
    return chr(int(sequence[1:], 16)) if len(sequence) == 5 else _ESCAPES.get(sequence, sequence)
