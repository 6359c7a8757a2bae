"""The string parameter `phonetic`: entries `phonetic:S530` in `str`, the American Soundex of each word of a name.

R4 leaves the algorithm to the server. https://hl7.org/fhir/R4/patient.html#search
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Filter, Term, any_of
from fhir_server.search.types import string

FIELD = "str"
LENGTH = 4
_DIGITS = {
    letter: digit
    for letters, digit in (("bfpv", "1"), ("cgjkqsxz", "2"), ("dt", "3"), ("l", "4"), ("mn", "5"), ("r", "6"))
    for letter in letters
}
_SILENT = "hw"
"""Letters that do not part two of the same sound; vowels do."""


def soundex(word: str) -> str:
    """How a word of the letters a to z sounds."""
    heard = [_DIGITS.get(letter, "") for letter in (word[0], *(each for each in word[1:] if each not in _SILENT))]
    kept = [digit for before, digit in pairwise(heard) if digit != before]
    return (word[0].upper() + "".join(kept) + "000")[:LENGTH]


@lru_cache(maxsize=8192)
def sounds(text: str) -> tuple[str, ...]:
    """The sound of each word; a word without any of the letters a to z stands for itself."""
    words = ((word, re.sub(r"[^a-z]", "", word)) for word in string.folded(text).split())
    return tuple(dict.fromkeys(soundex(letters) if letters else word for word, letters in words))


def _entries(texts: Sequence[str]) -> list[str]:
    return [f":{sound}" for text in texts for sound in sounds(text)]


def _name(value: dict[str, Any]) -> list[str]:
    return _entries([value.get("text", ""), value.get("family", ""), *(each or "" for each in value.get("given", ()))])


INDEX: dict[str, Callable[[Any], list[str]]] = {"HumanName": _name, "string": lambda value: _entries([value])}
"""Entries of a value by its FHIR type."""


def parse(text: str) -> tuple[str, ...]:
    return sounds(string.parse(text))


def _sounding(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    """Names in which every word of a value can be heard."""
    return Term(any_of([_all(parameter.code, parse(value)) for value in values]))


def _all(code: str, heard: Sequence[str]) -> Filter:
    entries = [f"{code}:{sound}" for sound in heard]
    return {FIELD: entries[0] if len(entries) == 1 else {"$all": entries}}


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _sounding}
