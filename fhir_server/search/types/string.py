"""Search type string: entries `code:folded` in `str`, followed by a tab and the text as written where that differs.

Folding ignores case, accents, punctuation and repeated spaces; dashes and slashes count as spaces. The text as written
serves `:exact` from the same entry. Text beyond 4,096 characters is not searched; its digest keeps `:exact` right.
https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import hashlib
import re
import string as alphabet
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.fhir.outcome import bad_value
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import LAST, Asked, Filter, Term, any_of, entry_range
from fhir_server.search.values import unescape

FIELD = "str"
LIMIT = 4096
_SPACES = "-/\\_"
_ASCII = str.maketrans(
    {mark: " " if mark in _SPACES else None for mark in alphabet.punctuation}
    | {upper: upper.lower() for upper in alphabet.ascii_uppercase}
)


@lru_cache(maxsize=8192)
def folded(text: str) -> str:
    """Text as it is compared: `Müller-O'Neill` and `MULLER  ONEILL` are the same when folded."""
    if not text.isascii():
        text = "".join(map(_plain, unicodedata.normalize("NFKD", text))).casefold()
    return " ".join(text.translate(_ASCII).split())[:LIMIT]


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Pd":
        return " "
    return "" if category[0] in "MP" and not character.isascii() else character


def entry(text: str) -> str:
    """What one text is indexed as, without the parameter."""
    plain = folded(text)
    if plain == text:
        return f":{plain}"
    if len(text) > LIMIT:
        text = "#" + hashlib.sha256(text.encode()).hexdigest()
    return f":{plain}\t{text}"


def _one(value: str) -> list[str]:
    return [entry(value)]


def _members(*names: str) -> Callable[[dict[str, Any]], list[str]]:
    """Entries of every text in these properties, single or repeated."""

    def entries(value: dict[str, Any]) -> list[str]:
        return [entry(text) for text in _texts(value.get(name) for name in names)]

    return entries


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif value is not None:
            yield from (each for each in value if each is not None)


def _concept(value: dict[str, Any]) -> list[str]:
    return [entry(text) for text in _texts([value.get("text"), [c.get("display") for c in value.get("coding", ())]])]


INDEX: dict[str, Callable[[Any], list[str]]] = {
    **dict.fromkeys(("string", "markdown", "code", "id", "uri", "url", "canonical"), _one),
    "HumanName": _members("text", "family", "given", "prefix", "suffix"),
    "Address": _members("text", "line", "city", "district", "state", "postalCode", "country"),
    "CodeableConcept": _concept,
    "Coding": _members("display"),
    "Annotation": _members("text"),
}
"""Entries of a value by its FHIR type."""


def parse(text: str) -> str:
    """The folded search text; refused where folding leaves nothing to compare."""
    plain = folded(unescape(text))
    if not plain:
        raise bad_value(f"'{text}' has no letter or digit to search for.")
    return plain


def starting(code: str, texts: Sequence[str]) -> Term:
    """Entries that start with any of the folded texts."""
    spans = [(f"{code}:{text}", f"{code}:{text}{LAST}") for text in texts]
    wanted = any_of([entry_range(FIELD, *span) for span in spans])
    return Term(wanted, span=spans[0] if len(spans) == 1 else None)


def _starting(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return starting(parameter.code, [parse(value) for value in values])


def _exact(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    entries = [parameter.code + entry(unescape(value)) for value in values]
    # The high end is the next string after the entry, so that an exact match can drive a query like a prefix does.
    span = (entries[0], entries[0] + "\x00") if len(entries) == 1 else None
    return Term({FIELD: entries[0] if len(entries) == 1 else {"$in": entries}}, span=span)


def _containing(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    return Term(any_of([_pattern(parameter.code, parse(value)) for value in values]))


def _pattern(code: str, text: str) -> Filter:
    return {FIELD: {"$regex": rf"^{re.escape(code)}:[^\t]*{re.escape(text)}"}}


Range = tuple[str, str]

COMPARED: dict[str, Callable[[str, str], list[Range]]] = {
    "eq": lambda code, text: [(f"{code}:{text}", f"{code}:{text}\n")],
    "ne": lambda code, text: [(f"{code}:", f"{code}:{text}"), (f"{code}:{text}\n", f"{code};")],
    "gt": lambda code, text: [(f"{code}:{text}\n", f"{code};")],
    "ge": lambda code, text: [(f"{code}:{text}", f"{code};")],
    "lt": lambda code, text: [(f"{code}:", f"{code}:{text}")],
    "le": lambda code, text: [(f"{code}:", f"{code}:{text}\n")],
}
"""Where the entries are whose folded text compares like this; what follows a text starts with a tab."""


def compared(operator: str) -> Callable[[Parameter, Sequence[str], Asked], Term]:
    """Whole texts compared. https://hl7.org/fhir/R4/search_filter.html"""

    def condition(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
        spans = [span for value in values for span in COMPARED[operator](parameter.code, parse(value))]
        wanted = any_of([entry_range(FIELD, *span) for span in spans])
        return Term(wanted, span=spans[0] if len(spans) == 1 and operator == "eq" else None)

    return condition


def ending(parameter: Parameter, values: Sequence[str], _: Asked) -> Term:
    patterns = [rf"^{re.escape(parameter.code)}:[^\t]*{re.escape(parse(value))}(?:\t|$)" for value in values]
    return Term(any_of([{FIELD: {"$regex": pattern}} for pattern in patterns]))


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {
    "": _starting,
    "exact": _exact,
    "contains": _containing,
}
