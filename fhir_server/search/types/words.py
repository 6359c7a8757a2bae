"""Search by words: `_text` in the narrative, `_content` in all texts and codes; entries `_text:word` and, of what the
narrative does not have, `_content:word`, in `txt`.

Case and accents do not matter. Words are whole; addresses, ids and attachments are no texts. A value is a condition
with `and`, `or`, `not` and brackets; words beside each other must all be there.
https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir.outcome import bad_value, not_supported, too_long
from fhir_server.fhir.resource import Resource
from fhir_server.search.term import Filter, any_of, none_of
from fhir_server.search.values import unescape

FIELD = "txt"
TEXT, CONTENT = "_text", "_content"
PLACES = {TEXT: (TEXT,), CONTENT: (TEXT, CONTENT)}
"""By parameter: where its words may be. What is in the narrative is in the content too."""

LONGEST = 64
"""Characters of a word that are compared."""

MOST = 2_000_000
"""Characters of all different words of a resource, with what each is marked by: they have to fit into its document."""

NO_TEXT = frozenset({"resourceType", "id", "meta", "url", "system", "reference", "contentType", "data", "div"})
"""Properties that are not read: what identifies and addresses, and attachments."""

_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_WORD = re.compile(r"\w+")
_PART = re.compile(r'\s*([()]|"[^"]*"?|[^\s()"]+)')
_DEEPEST = 10


def entries(resource: Resource) -> list[str]:
    """The words of a resource, each once."""
    narrative = frozenset(_words(html.unescape(_TAG.sub(" ", resource.get("text", {}).get("div", "")))))
    content = frozenset(word for text in _texts(resource) for word in _words(text)) - narrative
    found = sorted([*(f"{TEXT}:{word}" for word in narrative), *(f"{CONTENT}:{word}" for word in content)])
    if sum(map(len, found)) > MOST:
        raise too_long(f"The {len(found):,} different words of the resource are more than a search by words can keep.")
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in NO_TEXT:
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _words(text: str) -> list[str]:
    if not text.isascii():
        text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return [word[:LONGEST] for word in _WORD.findall(text.casefold())]


def wanted(code: str, values: Sequence[str]) -> Filter:
    """Any of the values, each a condition on words."""
    return any_of([_Reading(code, text, _PART.findall(text)).condition() for text in map(unescape, values)])


@dataclass(slots=True)
class _Reading:
    """A condition on its way; `parts` are what is left of it: words, operators, brackets."""

    code: str
    text: str
    parts: list[str]
    depth: int = 0

    def condition(self) -> Filter:
        found = self._either()
        if self.parts:
            raise bad_value(f"'{self.text}' has a bracket too many.")
        return found

    def _either(self) -> Filter:
        found = [self._all()]
        while self._next() == "or":
            self.parts.pop(0)
            found.append(self._all())
        return any_of(found)

    def _all(self) -> Filter:
        found = [self._one()]
        while self._next() not in ("or", ")", ""):
            if self._next() == "and":
                self.parts.pop(0)
            found.append(self._one())
        return found[0] if len(found) == 1 else {"$and": found}

    def _one(self) -> Filter:
        part = self._next()
        if part in ("", "or", "and", ")"):
            raise bad_value(f"'{self.text}' is no condition on words: one is missing{f' before {part}' * bool(part)}.")
        taken = self.parts.pop(0)
        return _SIGNS.get(part, _Reading._word)(self, taken)

    def _not(self, _: str) -> Filter:
        return none_of(self._one())

    def _bracket(self, _: str) -> Filter:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise bad_value(f"'{self.text}' has more than {_DEEPEST} brackets.")
        found = self._either()
        if not self.parts:
            raise bad_value(f"'{self.text}' has a bracket that is not closed.")
        self.parts.pop(0)
        return found

    def _word(self, part: str) -> Filter:
        """What punctuation joins, such as `follow-up`, is several words."""
        if part.startswith('"') or "*" in part:
            raise not_supported(
                f"'{part}' in '{self.code}' asks for more than words: neither phrases nor parts of words work."
            )
        words = _words(part)
        if not words:
            raise bad_value(f"'{part}' in '{self.code}' has no letters and no digits to search for.")
        found = [_entry(self.code, word) for word in words]
        return found[0] if len(found) == 1 else {"$and": found}

    def _next(self) -> str:
        """The next part, small; empty where there is none."""
        return self.parts[0].casefold() if self.parts else ""


_SIGNS: dict[str, Callable[[_Reading, str], Filter]] = {"not": _Reading._not, "(": _Reading._bracket}


def _entry(code: str, word: str) -> Filter:
    points = [f"{place}:{word}" for place in PLACES[code]]
    return {FIELD: points[0] if len(points) == 1 else {"$in": points}}
