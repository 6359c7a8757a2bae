"""Index entries and conditions of an encrypted tenant: what both say of sensitive values goes through one function.

An entry `name:smith` becomes a word for each of its beginnings, one for the whole text and one for it as written; of
`identifier=system|value` the system stays and the value becomes a word. So equality and beginnings are found as in a
tenant that is not encrypted, and whatever would need the text itself is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.crypto.blind import BlindIndex
from fhir_server.fhir.outcome import FhirError, bad_value, not_supported
from fhir_server.search.parameter import Parameter
from fhir_server.search.sensitive import BLINDED, Policy, Treatment
from fhir_server.search.term import Filter, Term

Treatments = Mapping[str, Treatment]
"""By code, of the parameters of one type whose entries are not readable."""
Row = dict[str, Any]

COMPOSITE = "composite"
"""What the texts of all composites are blinded as."""
SAID = "•"
"""Stands for a text that is there and not indexed, so that the parameter does not count as missing."""
SHORT = 3
"""Beginnings of fewer characters are those of too many texts to enter an index with."""

_ENTRY = re.compile(r"([^:=~]+)(.*)", re.DOTALL)
_PUNCTUATION = re.compile(r"[\s\-]+")
_WHOLE, _WRITTEN, _BEGINNING, _NORMAL = "whole", "written", "beginning", "normal"

MODIFIERS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"", "exact", "missing"}),
    "phonetic": frozenset({"", "missing"}),
    "token": frozenset({"", "not", "of-type", "missing"}),
}
OPERATORS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"eq", "sw"}),
    "phonetic": frozenset({"eq"}),
    "token": frozenset({"eq"}),
}
"""What can be asked of words, in a search and in `_filter`."""


class Blinding:
    """Of one tenant; `name` says of which, and by which key."""

    __slots__ = ("_index", "_tables", "name", "policy")

    def __init__(self, name: str, policy: Policy, index: BlindIndex) -> None:
        self.name = name
        self.policy = policy
        self._index = index
        self._tables: dict[tuple[str, int], tuple[object, Treatments]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blinding) and (self.name, self.policy) == (other.name, other.policy)

    def __hash__(self) -> int:
        return hash(self.name)

    def treatments(self, resource_type: str, parameters: Mapping[str, Parameter]) -> Treatments:
        """Remembered with the parameters themselves, which are one object for as long as they are the same."""
        known = self._tables.get((resource_type, id(parameters)))
        if known is None or known[0] is not parameters:
            found = {code: self.policy.treatment(resource_type, each) for code, each in parameters.items()}
            known = parameters, {code: each for code, each in found.items() if each}
            self._tables[(resource_type, id(parameters))] = known
        return known[1]

    def tokens(self, entries: Iterable[str], treatments: Treatments) -> Iterator[str]:
        """Entries in `tok` as they are stored."""
        for entry in entries:
            code, rest = _split(entry)
            treatment = treatments.get(code)
            if treatment == "identifier":
                code, rest = _identifier(code, rest)
            if treatment == "token" or code.endswith(":identifier"):
                yield from (code + each for each in self._indexed(code, rest))
            else:
                yield entry

    def strings(self, entries: Iterable[str], treatments: Treatments) -> Iterator[str]:
        """Entries in `str` as they are stored."""
        for entry in entries:
            code, rest = _split(entry)
            treatment = treatments.get(code)
            if treatment == "string":
                yield from (f"{code}:{each}" for each in self._texts(code, rest[1:]))
            elif treatment == "phonetic":
                yield f"{code}:{self._index.word(code, rest[1:])}"
            else:
                yield entry if treatment is None else f"{code}:{SAID}"

    def rows(self, rows: Iterable[Row], treatments: Treatments) -> list[Row]:
        """Rows in `num`: the text in one of a composite has a word for each of its beginnings."""
        return [
            {**each, "v": self._beginnings(COMPOSITE, each["v"].partition("\t")[0])}
            if treatments.get(each["p"].partition("$")[0]) == "composite"
            else each
            for each in rows
        ]

    def starting(self, code: str, texts: Sequence[str]) -> Term:
        """Texts that start with one of the folded ones; few do where more than a few characters are given."""
        leads = all(len(each) >= SHORT for each in texts)
        return _of_words(code, [self._beginning(code, each) for each in texts], leads=leads)

    def equal(self, code: str, texts: Sequence[str]) -> Term:
        """Texts that are one of the folded ones."""
        return _of_words(code, [self._index.word(code, f"{_WHOLE}:{each}") for each in texts], leads=True)

    def text(self, text: str) -> Filter:
        """What is asked of a row of a composite whose text starts with a folded one."""
        return {"v": self._beginning(COMPOSITE, text)}

    def _beginning(self, code: str, text: str) -> str:
        if len(text) > self.policy.prefix:
            raise bad_value(
                f"This tenant is encrypted: texts are found by their first {self.policy.prefix} characters, and the "
                f"value of '{code}' has {len(text)}. Ask for fewer, or for the whole text with :exact."
            )
        return self._index.word(code, f"{_BEGINNING}:{text}")

    def term(self, parameter: Parameter, term: Term) -> Term:
        """A condition that names entries, over the words that stand for them."""
        code = parameter.code
        asked = self._asked(parameter)

        def blinded(entries: Iterable[str]) -> list[str]:
            return [code + each for entry in entries for each in asked(entry[len(code) :])]

        points = tuple(dict.fromkeys(blinded(term.points)))
        return replace(term, filter=_rewritten(term.filter, blinded), points=points, span=None)

    def _asked(self, parameter: Parameter) -> Callable[[str], list[str]]:
        """From what follows the code in an entry that is asked for to what is stored."""
        code = parameter.code
        if parameter.kind == "string":
            return lambda rest: [f":{self._index.word(code, f'{_WRITTEN}{rest}')}"]
        if parameter.kind == "phonetic":
            return lambda rest: [f":{self._index.word(code, rest[1:])}"]
        return lambda rest: self._sought(code, rest)

    def _indexed(self, code: str, rest: str) -> Iterator[str]:
        yield from self._token(code, rest)
        system, _, value = rest[1:].partition("|")
        if rest[0] == "=" and value and system in self.policy.normalised:
            yield f":{self._normal(code, value)}"

    def _sought(self, code: str, rest: str) -> list[str]:
        """A value without a system may be one that is written in several ways."""
        found = self._token(code, rest)
        return [*found, f":{self._normal(code, rest[1:])}"] if rest[0] == ":" else found

    def _token(self, code: str, rest: str) -> list[str]:
        head, value = _parts(rest)
        if not value:
            return [rest]
        if head[0] == "=" and head[1:-1] in self.policy.normalised:
            return [head + self._normal(code, value)]
        return [head + self._index.word(code, value)]

    def _normal(self, code: str, value: str) -> str:
        return self._index.word(code, f"{_NORMAL}:{_PUNCTUATION.sub('', value).casefold()}")

    def _texts(self, code: str, text: str) -> list[str]:
        """As written, folded and whole, and its beginnings."""
        folded = text.partition("\t")[0]
        found = [self._index.word(code, f"{_WRITTEN}:{text}")]
        whole = self._index.word(code, f"{_WHOLE}:{folded}")
        return [*found, whole, *self._beginnings(code, folded)] if folded else found

    def _beginnings(self, code: str, folded: str) -> list[str]:
        lengths = range(1, min(len(folded), self.policy.prefix) + 1)
        return [self._index.word(code, f"{_BEGINNING}:{folded[:length]}") for length in lengths]


def refused(parameter: Parameter, how: str) -> FhirError:
    return not_supported(
        f"{how} cannot be used on '{parameter.code}' here: this tenant is encrypted, and the values of this parameter "
        "are stored as words without order or parts."
    )


def check_modifier(parameter: Parameter, treatment: Treatment | None, modifier: str) -> None:
    """400 for what would need the text itself."""
    allowed = MODIFIERS.get(treatment or "")
    if (allowed and modifier not in allowed) or (treatment == "text" and modifier == "text"):
        raise refused(parameter, f"The modifier ':{modifier}'")


def check_operator(parameter: Parameter, treatment: Treatment | None, operator: str) -> None:
    allowed = OPERATORS.get(treatment or "")
    if allowed and operator not in allowed:
        raise refused(parameter, f"The operator '{operator}'")


def check_sort(parameter: Parameter, treatment: Treatment | None) -> None:
    if treatment in BLINDED:
        raise refused(parameter, "_sort")


def _of_words(code: str, words: Sequence[str], *, leads: bool) -> Term:
    """Texts that one of these words stands for; `leads` where few do."""
    entries = [f"{code}:{each}" for each in words]
    if len(entries) > 1:
        return Term({"str": {"$in": entries}})
    return Term({"str": entries[0]}, span=(entries[0], f"{entries[0]}\x00") if leads else None)


def _split(entry: str) -> tuple[str, str]:
    """The code, and what follows it with its mark."""
    found = _ENTRY.match(entry)
    return (found[1], found[2]) if found else (entry, "")


def _identifier(code: str, rest: str) -> tuple[str, str]:
    """Of a reference: its identifier, where the entry is of one."""
    inner = rest.removeprefix(":identifier")
    return (f"{code}:identifier", inner) if inner != rest and inner[:1] in (":", "=", "~") else (code, rest)


def _parts(rest: str) -> tuple[str, str]:
    """What stays readable of an entry (its mark, the system, the type of an identifier) and the value."""
    bars = {":": 0, "=": 1, "~": 2}[rest[0]]
    pieces = rest[1:].split("|", bars)
    return rest[0] + "".join(f"{each}|" for each in pieces[:-1]), pieces[-1]


def _rewritten(wanted: Filter, blinded: Callable[[Iterable[str]], list[str]]) -> Filter:
    """The filter with each entry that is asked for replaced; ranges, which are of systems, stay."""
    return {name: _condition(name, asked, blinded) for name, asked in wanted.items()}


def _condition(name: str, asked: Any, blinded: Callable[[Iterable[str]], list[str]]) -> Any:
    if name.startswith("$"):
        return [_rewritten(each, blinded) for each in asked]
    if isinstance(asked, str):
        found = blinded([asked])
        return found[0] if len(found) == 1 else {"$in": found}
    return {each: blinded(value) if each in ("$in", "$nin", "$all") else value for each, value in asked.items()}
