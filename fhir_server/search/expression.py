"""The subset of FHIRPath that search parameters are written in, parsed into steps.

Paths, `as`, `ofType`, `where(a='b')`, `where(resolve() is T)`, `where(hasExtension('url'))`, `extension('url')`,
`[n]`, `|` and the one idiom `x.exists() and x != false`. Anything else is a `SyntaxError`, never skipped.
https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Field:
    """Step into a child element."""

    name: str


@dataclass(frozen=True, slots=True)
class Cast:
    """Keep one type of a choice."""

    type: str


@dataclass(frozen=True, slots=True)
class Item:
    """Keep the item at one position."""

    position: int


@dataclass(frozen=True, slots=True)
class Equals:
    """Keep items whose child has this value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Extended:
    """Keep items that carry the extension."""

    url: str


@dataclass(frozen=True, slots=True)
class Refers:
    """Keep references to this type of resource."""

    type: str


@dataclass(frozen=True, slots=True)
class Truth:
    """True where the value exists and is not `false`, else false; never empty."""


Segment = Field | Cast | Item | Equals | Extended | Refers | Truth
Path = tuple[Segment, ...]

_TOKEN = re.compile(r"\s*(?:('[^']*')|([A-Za-z_]\w*)|(\d+)|(!=|[().|=\[\]]))")


def _tokens(text: str) -> list[str]:
    found, end = [], 0
    stripped = text.rstrip()
    while end < len(stripped):
        match = _TOKEN.match(stripped, end)
        if match is None:
            raise SyntaxError(f"Not understood at {end} in {text!r}.")
        found.append(match.group().strip())
        end = match.end()
    return found


class _Reader:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str):
        self.text = text
        self.rest = _tokens(text)

    def peek(self) -> str:
        return self.rest[0] if self.rest else ""

    def take(self, *expected: str) -> str:
        if not self.rest or (expected and self.rest[0] not in expected):
            raise SyntaxError(f"Expected {' or '.join(expected) or 'more'} before {self.rest[:3]} in {self.text!r}.")
        return self.rest.pop(0)

    def accepts(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.rest.pop(0)
        return True

    def union(self) -> tuple[Path, ...]:
        branches = [self.branch()]
        while self.accepts("|"):
            branches.append(self.branch())
        if self.rest:
            raise SyntaxError(f"Not understood: {self.rest} in {self.text!r}.")
        return tuple(branches)

    def branch(self) -> Path:
        path = self.path()
        if not self.accepts("and"):
            return path
        exists, again = path[-1:], self.path()
        self.take("!=")
        self.take("false")
        if exists != (Truth(),) or again != path[:-1]:
            raise SyntaxError(f"Only `x.exists() and x != false` is understood, not {self.text!r}.")
        return path

    def path(self) -> Path:
        found = self.primary()
        while self.peek() in (".", "["):
            found += self.index() if self.accepts("[") else self.member()
        return found

    def primary(self) -> Path:
        if not self.accepts("("):
            return (Field(self.take()),)
        inner = self.path()
        self.take("as")
        cast = Cast(self.take())
        self.take(")")
        return (*inner, cast)

    def index(self) -> Path:
        position = int(self.take())
        self.take("]")
        return (Item(position),)

    def member(self) -> Path:
        self.take(".")
        name = self.take()
        if not self.accepts("("):
            return (Field(name),)
        if name not in _FUNCTIONS:
            raise SyntaxError(f"The function {name}() is not understood in {self.text!r}.")
        found = _FUNCTIONS[name](self)
        self.take(")")
        return found

    def string(self) -> str:
        quoted = self.take()
        if not quoted.startswith("'"):
            raise SyntaxError(f"Expected a string instead of {quoted!r} in {self.text!r}.")
        return quoted[1:-1]

    def where(self) -> Path:
        name = self.take()
        if name == "resolve":
            for token in ("(", ")", "is"):
                self.take(token)
            return (Refers(self.take()),)
        if name == "hasExtension":
            self.take("(")
            url = self.string()
            self.take(")")
            return (Extended(url),)
        self.take("=")
        return (Equals(name, self.string()),)


_FUNCTIONS: dict[str, Callable[[_Reader], Path]] = {
    "as": lambda reader: (Cast(reader.take()),),
    "ofType": lambda reader: (Cast(reader.take()),),
    "where": _Reader.where,
    "extension": lambda reader: (Field("extension"), Equals("url", reader.string())),
    "exists": lambda _: (Truth(),),
}


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Path, ...]:
    """The branches of an expression."""
    return _Reader(text).union()
