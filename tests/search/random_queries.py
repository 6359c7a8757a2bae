"""Random queries on the values that resources have: every kind of parameter with its modifiers, prefixes and lists."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.search.registry import parameters
from fhir_server.search.values import PREFIXES
from tests.search import arbitrary, naive
from tests.search.naive_numbers import numbers
from tests.search.queries import escaped
from tests.search.written import plain

Query = list[tuple[str, str]]
Values = Callable[[str], list[Any]]
"""What a parameter, by its code, has for values in all resources of the type."""
Write = Callable[[random.Random, Any], "str | None"]

TWOFOLD = frozenset({"source-uri", "target-uri", "activity-date"})
"""On a choice between a uri and a canonical, which is a uri too, and on one between a time and a text that may look
like one: the resource itself does not tell which it was."""
PRECISIONS = (4, 7, 10, 16, 19)
"""Characters of a date and time: to the year, month, day, minute, second."""
COMPARABLE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


def drawn(chance: random.Random, resource_type: str, values: Values) -> Query:
    """Mostly one condition, sometimes several."""
    conditions = chance.choices((1, 2, 3), (6, 3, 1))[0]
    codes = sorted(
        code for code, each in parameters(resource_type).items() if each.kind in KINDS and code not in TWOFOLD
    )
    return [_condition(chance, resource_type, chance.choice(codes), values) for _ in range(conditions)]


def _condition(chance: random.Random, resource_type: str, code: str, values: Values) -> tuple[str, str]:
    known = parameters(resource_type)[code]
    modifier, write = chance.choice(
        [each for each in KINDS[known.kind].items() if known.targets or each[0] != "[type]"]
    )
    if chance.random() < 0.08:
        return f"{code}:missing", chance.choice(("true", "false"))
    listed = values(code)
    texts: list[str] = []
    for _ in range(chance.choices((1, 2, 3), (6, 3, 1))[0]):
        value = chance.choice(listed) if listed else None
        text = None if value is None else write(chance, value)
        texts.append(text if text else ELSEWHERE[known.kind, modifier])
    if modifier == "[type]":
        return f"{code}:{chance.choice(known.targets)}", ",".join(texts)
    return f"{code}:{modifier}".rstrip(":"), ",".join(texts)


def _text(chance: random.Random, value: Any) -> str | None:
    """The whole, or a part from anywhere; something must be left to compare."""
    texts = [each for each in naive._texts(value) if each and len(each) < 200]
    if not texts:
        return None
    text = chance.choice(texts)
    begin = chance.choice((0, 0, 0, chance.randrange(len(text))))
    part = text[begin : begin + chance.choice((1, 3, 5, 200))]
    return escaped(_respelt(chance, part)) if COMPARABLE & set(plain(part)) else None


def _respelt(chance: random.Random, text: str) -> str:
    return chance.choice((text, text, text.upper(), text.lower()))


def _whole(chance: random.Random, value: Any) -> str | None:
    texts = [each for each in naive._texts(value) if each and len(each) < 1000]
    return escaped(chance.choice(texts)) if texts else None


def _token(chance: random.Random, value: Any) -> str | None:
    own = [each for each in naive._codes(value) if each != ("", "")]
    if not own:
        return None
    system, code = chance.choice(own)
    code = chance.choice((code, code, code, chance.choice(arbitrary.CODES)))
    stated = escaped(system)
    if isinstance(value, str | bool):
        # A uri among codings has no system that it could lack.
        return escaped(code) and chance.choice((escaped(code), escaped(code) if ":" in code else f"|{escaped(code)}"))
    forms = [escaped(code), f"|{escaped(code)}" if code else "", f"{stated}|{escaped(code)}", f"{stated}|"]
    return chance.choice([each for each in forms if each.strip("|")] or [None])


def _beside(chance: random.Random, value: Any) -> str | None:
    """The text beside a code."""
    if not isinstance(value, dict):
        return None
    listed = [value.get("text"), value.get("display"), *(each.get("display") for each in value.get("coding", ()))]
    return _text(chance, chance.choice([each for each in listed if each] or [""]))


def _typed(chance: random.Random, value: Any) -> str | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), dict) or not value.get("value"):
        return None
    kinds = [each for each in value["type"].get("coding", ()) if each.get("system") and each.get("code")]
    chosen = [chance.choice(kinds)[name] for name in ("system", "code")] if kinds else None
    return "|".join(map(escaped, [*chosen, value["value"]])) if chosen else None


def _referred(chance: random.Random, value: Any) -> str | None:
    text = value if isinstance(value, str) else value.get("reference", "#")
    if text.startswith("#"):
        return None
    bare = text.removeprefix(f"{arbitrary.BASE}/").partition("/_history/")[0]
    if isinstance(value, str) or "://" in bare or bare.startswith("urn:"):
        return escaped(chance.choice((text, text.partition("|")[0])))
    return chance.choice((bare, bare, bare.rpartition("/")[2], f"{arbitrary.BASE}/{bare}", text))


def _id_of(_: random.Random, value: Any) -> str | None:
    text = "" if isinstance(value, str) else value.get("reference", "")
    parts = text.partition("/_history/")[0].split("/")
    return parts[-1] if len(parts) == 2 and not text.startswith("#") else None


def _identified(chance: random.Random, value: Any) -> str | None:
    own = value.get("identifier") if isinstance(value, dict) else None
    return _token(chance, own) if own else None


def _moments(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if hasattr(value, "asStr"):
        return [value.asStr]
    period = value.get("repeat", {}).get("boundsPeriod", value)
    return [*value.get("event", ()), *(period[name] for name in ("start", "end") if name in period)]


def _date(chance: random.Random, value: Any) -> str | None:
    written = _moments(value)
    if not written or not written[0][:4].isdigit():
        return None
    text = chance.choice([*written, *written, arbitrary.date_time(chance)])
    length = chance.choice(PRECISIONS)
    shortened = text if length > len(text) or chance.random() < 0.4 else text[:length]
    return chance.choice(("", *PREFIXES)) + shortened + ("Z" if "T" in shortened and shortened == text[:length] else "")


def _numeric(chance: random.Random, value: Any) -> str | None:
    limits = [each for each in numbers(value) if each.is_finite()]
    if not limits:
        return None
    exact = chance.choice((*limits, arbitrary.number(chance)))
    places = Decimal(1).scaleb(-chance.choice((0, 1, 2)))
    forms = [f"{exact:f}", f"{exact.quantize(places):f}", f"{exact.normalize():E}".replace("+", "")]
    return chance.choice(("", *PREFIXES)) + chance.choice(forms)


def _quantity(chance: random.Random, value: Any) -> str | None:
    if not (value.keys() & {"value", "low", "high", "data"}):
        return None
    number = _numeric(chance, value)
    own = value.get("origin", value.get("low", value.get("high", value)))
    if number is None:
        return None
    system, code, unit = (escaped(own.get(name, "")) for name in ("system", "code", "unit"))
    return number + chance.choice(("", f"|{system}|{code}", f"||{code}", f"||{unit}", f"|{system}|", "||pc"))


def _uri(chance: random.Random, value: Any) -> str | None:
    return escaped(chance.choice((value, value, value.partition("|")[0], f"{value}/more", value[:-1], value + "/")))


KINDS: Mapping[str, Mapping[str, Write]] = {
    "string": {"": _text, "contains": _text, "exact": _whole},
    "token": {"": _token, "not": _token, "text": _beside, "of-type": _typed},
    "reference": {"": _referred, "identifier": _identified, "[type]": _id_of},
    "date": {"": _date},
    "number": {"": _numeric},
    "quantity": {"": _quantity},
    "uri": {"": _uri, "below": _uri, "above": _uri, "contains": _uri},
    "_id": {"": lambda _, value: str(value)},
}
"""By kind of parameter and modifier: how a value is asked for."""

ELSEWHERE = {
    (kind, modifier): text
    for kind, modifiers in KINDS.items()
    for modifier, text in {
        **dict.fromkeys(modifiers, "nowhere"),
        **({"": "ge2020-03"} if kind == "date" else {"": "5.4"} if kind in ("number", "quantity") else {}),
        **({"of-type": "http://kinds.example|MR|a"} if kind == "token" else {}),
    }.items()
}
"""What is asked for where there is no value to start from."""
