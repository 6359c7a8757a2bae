"""What the engine knows about a converter: what it takes and gives, its arguments, and how it may fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

SAME = "same"
"""Gives what it takes."""
MAPPED = "mapped"
"""Gives what the element needs: a code, a Coding, a concept or a boolean."""
TEST = "test"
LIST = "list"
ROWS = "rows"

ANY = frozenset({"*"})
TEXT = frozenset({"text", "string", "item"})
ITEM = TEXT | {"integer", "decimal", "json"}
"""What can be written as text without loss: keys, numbers, words."""
NUMBER = frozenset({"integer", "decimal", "text", "item", "number"})
FLAG = frozenset({"boolean", "integer", "text", "item"})
MOMENT = frozenset({"date", "timestamp", "timestamptz", "text", "item"})


Words = tuple[str, ...]
"""The arguments of a variadic kind: one tuple, folded where they are values of a column."""


@dataclass(frozen=True, slots=True)
class Converter:
    """`args` are kinds: `word count value number system coding column map field type output`, with `?`, `*` or `+`."""

    call: Callable[..., Any]
    takes: frozenset[str]
    gives: str
    args: tuple[str, ...] = ()
    fails: bool = False
    """May raise a Fault."""
    none: bool = False
    """Is also asked when there is no value."""
    context: bool = False
    """Takes the context as its last argument."""
    always: bool = False
    """Gives a value in any case."""
    nested: bool = False
    """Takes the lists and objects of a JSON value as well as its words and numbers."""
    repeats: bool = False
    """The same values come again and again, with arguments that are words: what they become is kept."""


MOST_KEPT = 4096


class Kept(dict[Any, Any]):
    """What the last values of one class became."""

    def __init__(self, call: Callable[[Any], Any]):
        self.call = call

    def __missing__(self, value: Any) -> Any:
        found = self.call(value)
        if value != 0 or value.__class__ is not float:
            if len(self) >= MOST_KEPT:
                self.clear()
            self[value] = found
        return found


class Asked:
    """What values become, of which nothing is kept."""

    def __init__(self, call: Callable[[Any], Any]):
        self.call = call

    def __getitem__(self, value: Any) -> Any:
        return self.call(value)


class Remembered(dict[type, Kept | Asked]):
    """A converter that keeps what the last values became: `[class][value]`.

    Equal numbers may be written differently: the class tells them apart, decimals their digits, a zero its sign.
    """

    def __init__(self, call: Callable[..., Any], *args: Any):
        self.convert = lambda value: call(value, *args)
        by_digits = Kept(lambda digits: call(Decimal(digits), *args))
        super().__init__({kind: Kept(self.convert) for kind in (str, int, float)})
        self[Decimal] = Asked(lambda value: by_digits[str(value)])

    def __missing__(self, kind: type) -> Asked:
        found = self[kind] = Asked(self.convert)
        return found
