"""Search type composite: rows `{p, k, …}` in `num` or, where the second part is a date, in `dat`.

`p` is the name of the combination, a `$` and the code of its first part, `k` the system of that code. The other fields
are those that the second part would have on its own: one row holds only what stands together in one element. A third
part is a number in `w`; text, codes and references are in `v`, the system of a second code in `system`.
https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

from fhir_server.fhir.outcome import bad_value, too_costly
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import LAST, NOTHING, Asked, Filter, Term, any_of, wide
from fhir_server.search.types import date, number, quantity, reference, string, token
from fhir_server.search.values import components

Row = dict[str, Any]
Conditions = tuple[Filter, ...]
"""What is asked of a narrow row and, where there are such, of a wide one."""

MOST = 10_000
"""Combinations in one resource. More would be made of thousands of codes beside each other, which no one means."""

END = chr(ord("$") + 1)

FIELDS = {"date": "dat"}
"""By kind of the second part: the array of its rows, `num` where it is not listed."""


def field(kind: str) -> str:
    return FIELDS.get(kind, "num")


def _coded(type_name: str, value: Any) -> list[Row]:
    found = token.CODINGS[type_name](value)
    return [{"p": "", "v": code, **({"system": system} if system else {})} for system, code in found]


def _texts(type_name: str, value: Any) -> list[Row]:
    return [{"p": "", "v": entry[1:]} for entry in string.INDEX[type_name](value)]


def _references(type_name: str, value: Any) -> list[Row]:
    return [{"p": "", "v": entry[1:]} for entry in reference.INDEX[type_name](value) if entry.startswith("=")]


ROWS: dict[str, Callable[[str, Any], list[Row]]] = {
    "token": _coded,
    "string": _texts,
    "reference": _references,
    "date": lambda type_name, value: date.rows("", date.INDEX[type_name](value)),
    "number": lambda type_name, value: number.rows("", number.INDEX[type_name](value)),
    "quantity": lambda type_name, value: quantity.rows("", quantity.INDEX[type_name](value)),
}
"""By kind of the second part: its rows without the name, which is `~` where they are wide."""

INDEX: dict[str, Iterable[str]] = {
    "token": token.CODINGS,
    "string": string.INDEX,
    "reference": ("Reference",),
    "date": date.INDEX,
    "number": number.INDEX,
    "quantity": quantity.INDEX,
}
"""By kind of a part: the FHIR types that can be combined."""


def rows(name: str, firsts: Sequence[token.Coded], seconds: Sequence[Row], thirds: Sequence[Row] | None) -> list[Row]:
    """A row for each combination of what stands in one element."""
    if len(firsts) * len(seconds) * (1 if thirds is None else len(thirds)) > MOST:
        raise too_costly(
            f"The resource has more than {MOST:,} combinations of codes for the search parameter '{name}'."
        )
    ends: Sequence[Row] = [{}] if thirds is None else [{"w": each["v"]} for each in thirds]
    return [
        {**second, "p": f"{name}{second['p']}${code}", **({"k": system} if system else {}), **end}
        for (system, code), second, end in product(firsts, seconds, ends)
    ]


def _as_token(_: Parameter, text: str, __: Asked) -> Conditions:
    system, code = token.parse(text)
    wanted: Filter = {"v": code} if code else {}
    if system is not None:
        wanted["system"] = system or None
    return (wanted,)


def _as_string(_: Parameter, text: str, asked: Asked) -> Conditions:
    plain = string.parse(text)
    if asked.blinding and "string" in asked.blinding.policy.kinds:
        return (asked.blinding.text(plain),)
    wanted: Filter = {"v": {"$gte": plain, "$lt": plain + LAST}}
    return (wanted,)


def _as_reference(parameter: Parameter, text: str, asked: Asked) -> Conditions:
    found = [each.partition("=")[2] for each in reference.points(parameter, text, asked)]
    wanted: Filter = {"v": found[0] if len(found) == 1 else {"$in": found}}
    return (wanted,)


CONDITIONS: dict[str, Callable[[Parameter, str, Asked], Conditions]] = {
    "token": _as_token,
    "string": _as_string,
    "reference": _as_reference,
    "date": lambda _, text, asked: date.conditions(text, asked),
    "number": lambda _, text, __: number.either(number.parse(text), {}),
    "quantity": lambda _, text, __: number.either(*quantity.asked(text)[:2]),
}
"""By kind of the second part: what a search value asks of the rest of a row."""


def _any(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    return Term(any_of([each for value in values for each in _alternatives(parameter, value, asked)] or [NOTHING]))


def _alternatives(parameter: Parameter, value: str, asked: Asked) -> list[Filter]:
    texts = components(value)
    parts = parameter.parts
    if len(texts) != len(parts) or not all(texts):
        named = "$".join(part.code for part in parts)
        raise bad_value(f"The value '{value}' of '{parameter.code}' must have {len(parts)} parts: {named}.")
    codes, system = _first(parts[0], texts[0])
    also = [system, *map(_third, texts[2:])]
    suffix = quantity.asked(texts[1])[2] if parts[1].kind == "quantity" else ""
    own = tuple(f"{name}{suffix}" for name in parameter.names)
    names = (own, tuple(map(wide, own)))
    return [
        _row(field(parts[1].kind), place, [wanted, *also])
        for wanted, named in zip(CONDITIONS[parts[1].kind](parts[1], texts[1], asked), names, strict=False)
        for place in _places(named, codes)
    ]


def _first(part: Parameter, text: str) -> tuple[list[str] | None, Filter]:
    """The codes that the first part may have, None where it may be any, and what is asked of its system."""
    system, code = token.parse(text)
    if not code:
        return (part.codes_of(system or ""), {}) if part.bare else (None, {"k": system})
    if system is None or part.implies(system, code):
        return [code], {}
    return ([], {}) if part.bare else ([code], {"k": system or None})


def _third(text: str) -> Filter:
    asked = number.parse(text)
    return _about_w(number.POINT[asked.prefix](asked))


def _about_w(wanted: Filter) -> Filter:
    """The same condition, on `w`."""
    if "$or" in wanted:
        return {"$or": [_about_w(each) for each in wanted["$or"]]}
    return {"w": wanted["v"]}


def _places(names: Sequence[str], codes: Sequence[str] | None) -> list[Any]:
    """What `p` may be: one of these, or in a range for each name."""
    if codes is None:
        return [{"$gte": f"{name}$", "$lt": f"{name}{END}"} for name in names]
    exact = [f"{name}${code}" for name in names for code in codes]
    return [exact[0] if len(exact) == 1 else {"$in": exact}] if exact else []


def _row(array: str, place: Any, conditions: Sequence[Filter]) -> Filter:
    wanted: Filter = {"p": place}
    for each in conditions:
        wanted = number.both(wanted, each)
    return {array: {"$elemMatch": wanted}}


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any}
