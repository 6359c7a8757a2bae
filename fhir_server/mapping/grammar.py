"""The one-line grammar of a leaf: `$column | name(args) | …`, or `=name(args)` for a constant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

QUOTED = r"'(?:[^']|'')*'"
PIECE = re.compile(rf"(?:{QUOTED}|\((?:{QUOTED}|[^')])*\)|[^|('])+")
COLUMN = re.compile(r"\$([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?\Z")
CALL = re.compile(r"([A-Za-z_]\w*)(?:\((.*)\))?\Z", re.DOTALL)
ARGUMENT = re.compile(rf"\s*({QUOTED}|[^,']+?)\s*(,|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Column:
    """`$name`, or `$parent.name` where `name` belongs to a parent row, a decoded value or a list item."""

    name: str
    field: str | None = None

    def __str__(self) -> str:
        return f"${self.name}" + (f".{self.field}" if self.field else "")


Argument = Column | str


@dataclass(frozen=True, slots=True)
class Step:
    """One converter with its arguments."""

    name: str
    args: tuple[Argument, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.args))})" if self.args else self.name


@dataclass(frozen=True, slots=True)
class Pipe:
    """A column and the converters it goes through."""

    column: Column
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return " | ".join([str(self.column), *map(str, self.steps)])

    def columns(self) -> tuple[Column, ...]:
        """Every column read: the first, and those that are arguments."""
        return (self.column, *(arg for step in self.steps for arg in step.args if isinstance(arg, Column)))


class Unreadable(ValueError):
    """A leaf that does not follow the grammar."""


def is_pipe(text: str) -> bool:
    return text.startswith("$") and not text.startswith("$$")


def is_constant(text: str) -> bool:
    return text.startswith("=") and not text.startswith("==")


def constant(text: str) -> Step:
    """`=cc(orgtype|pay)`; the arguments are kept as written."""
    return _step(text.removeprefix("=").strip(), text)


def pipe(text: str) -> Pipe:
    """`$column | name(args) | …`."""
    pieces = _pieces(text)
    return Pipe(column(pieces[0]), tuple(_step(each, text) for each in pieces[1:]))


def column(text: str) -> Column:
    found = COLUMN.match(text)
    if not found:
        raise Unreadable(f"'{text}' is not a column; write $name or $parent.name.")
    return Column(found[1], found[2])


def _pieces(text: str) -> list[str]:
    """What stands between the bars that are in no quotes and no brackets."""
    pieces = [""]
    at = 0
    while at < len(text):
        if text[at] == "|":
            pieces.append("")
            at += 1
            continue
        found = PIECE.match(text, at)
        if not found:
            raise Unreadable(
                f"'{text}': a quote or a bracket is not closed; inside [ ] and {{ }} a leaf with a comma is quoted."
            )
        pieces[-1] += found[0]
        at = found.end()
    return [each.strip() for each in pieces]


def _step(piece: str, text: str) -> Step:
    found = CALL.match(piece)
    if not found:
        raise Unreadable(f"'{text}': '{piece}' is not a converter; write name or name(arguments).")
    return Step(found[1], () if found[2] is None else tuple(_arguments(found[2], text)))


def _arguments(inside: str, text: str) -> Iterator[Argument]:
    at, more = 0, ","
    while more:
        found = ARGUMENT.match(inside, at)
        if not found:
            raise Unreadable(f"'{text}': an argument is missing in '({inside})'.")
        yield _argument(found[1])
        at, more = found.end(), found[2]


def _argument(word: str) -> Argument:
    if word.startswith("'"):
        return word[1:-1].replace("''", "'")
    return column(word) if is_pipe(word) else word
