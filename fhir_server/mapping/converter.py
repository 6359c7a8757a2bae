"""What the engine knows about a converter: what it takes and gives, its arguments, and how it may fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
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
    """`args` are kinds: `word value number system coding column map field type output`, with `?`, `*` or `+`."""

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


KEPT = 4096
KEYS = frozenset({str, int, float})


def remembered(call: Callable[..., Any], *args: Any) -> Callable[[Any], Any]:
    """A converter that keeps what the last values became.

    Equal numbers may be written differently: decimals are told apart by their digits, and a zero by its sign.
    """
    kept = lru_cache(maxsize=KEPT, typed=True)(lambda value: call(value, *args))
    kept_decimals = lru_cache(maxsize=KEPT)(lambda digits: call(Decimal(digits), *args))

    def remembering(value: Any) -> Any:
        kind = value.__class__
        if kind is Decimal:
            return kept_decimals(str(value))
        return kept(value) if value and kind in KEYS else call(value, *args)

    return remembering
