"""How legacy text is read: trimmed, NFC, without control characters; codes are compared folded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from functools import lru_cache
from typing import Any

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
NOTHING = frozenset({"n/a", "na", "none", "unknown", "-", "--", "null", "nil", "?", "tbd"})
"""What people type into a coded or numeric column when they mean nothing."""
MOST_WORDS = 4096


def text(value: Any) -> str | None:
    """The text of a column; None where nothing is written."""
    if value.__class__ is str and value.isascii() and value.isprintable():
        return value.strip() or None
    return None if value is None else _cleaned(str(value))


class Vocabulary(dict[Any, str | None]):
    """Text of columns in which the same words come again and again, as `text` gives it."""

    def __missing__(self, value: str) -> str | None:
        found = text(value)
        if len(self) < MOST_WORDS:
            self[value] = found
        return found


VOCABULARY = Vocabulary()


def _cleaned(value: str) -> str | None:
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    if not value.isprintable():
        value = UNPRINTABLE.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    return value.strip() or None


def is_nothing(value: str) -> bool:
    return value.strip().casefold() in NOTHING


@lru_cache(maxsize=16_384)
def folded(value: Any) -> str:
    """A code as it is compared: trimmed, lower case, `_` for spaces and hyphens."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return re.sub(r"[\s\-]+", "_", str(value).strip().casefold())


def is_among(value: Any, words: Container[str]) -> bool:
    """Whether a value, as it is compared, is one of some words."""
    return value is not None and folded(value) in words


@lru_cache(maxsize=16_384)
def normalised(value: str) -> str:
    """A natural key: upper case, no accents, no punctuation, single spaces."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", value) if not unicodedata.combining(each))
    return " ".join(re.sub(r"[^\w\s]|_", "", bare.upper()).split())
