"""A second opinion: search decided on the resource itself, by a general FHIRPath engine and without any index.

It is slow and straightforward on purpose; where it and the index disagree, one of them has misread the specification.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import calendar
import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from xml.etree import ElementTree

import fhirpathpy
from fhirpathpy.engine.nodes import TypeInfo
from fhirpathpy.models import models

from fhir_server.fhir import definitions
from tests.search import naive_numbers
from tests.search.written import accentless, meant, plain, split

Range = tuple[Any, Any]
RESOLVE = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
CAST = re.compile(r"\((.+) as (\w+)\)")
ABSTRACT = re.compile(r"\A(?:Domain)?Resource\.")
BINDINGS = {
    "gender": "http://hl7.org/fhir/administrative-gender",
    "relation": "http://hl7.org/fhir/document-relationship-type",
}
CONTACT = re.compile(r"telecom|Subscription\.contact")
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def finds(
    resource: dict[str, Any],
    query: list[tuple[str, str]],
    base: str,
    now: datetime,
    values: Callable[[dict[str, Any], str], list[Any]] | None = None,
) -> bool:
    """Whether the resource matches every parameter; `values` may know already what an expression leads to."""
    return all(_matches(resource, name, value, base, now, values or extracted) for name, value in query)


def _matches(
    resource: dict[str, Any],
    name: str,
    text: str,
    base: str,
    now: datetime,
    values: Callable[[dict[str, Any], str], list[Any]],
) -> bool:
    code, _, modifier = name.partition(":")
    if code in ("_text", "_content"):
        return _worded(resource, code, text)
    definition = definitions.search_parameters(resource["resourceType"])[code]
    if definition.type == "composite":
        return any(_together(each, one, base, now) for each in composed(resource, code) for one in split(text, ","))
    found = values(resource, definition.expression)
    kind = {"_id": "token", "phonetic": "phonetic"}.get(code, definition.type)
    found = [each for each in found if FITTING.get(kind, _any)(each)]
    if modifier == "missing":
        return (not found) == (text == "true")
    wanted = split(text, ",")
    if modifier == "not":
        return not any(KINDS[kind](value, "", each, definition, base, now) for value in found for each in wanted)
    return any(KINDS[kind](value, modifier, each, definition, base, now) for value in found for each in wanted)


def composed(resource: dict[str, Any], code: str) -> list[list[tuple[Any, list[Any]]]]:
    """For each element that holds the parts of a composite: each part as a parameter, with its values there."""
    kind = resource["resourceType"]
    known = definitions.search_parameters(kind)
    named = {each.url: each for each in known.values()}
    found = []
    for branch in known[code].expression.split("|"):
        holder = branch.strip()
        places = [kind] if holder == kind else [f"{holder}[{n}]" for n in range(len(_held(resource, holder)))]
        for place in places:
            parts = [(named[each.url], _part(resource, place, each.expression)) for each in known[code].components]
            found.append(_in_order(parts))
    return found


def _held(resource: dict[str, Any], path: str) -> list[Any]:
    return _compiled(path)(resource) if path.startswith(f"{resource['resourceType']}.") else []


def _part(resource: dict[str, Any], place: str, expression: str) -> list[Any]:
    found: list[Any] = []
    for branch in expression.split("|"):
        path = re.sub(r"\.as\((\w+)\)", r".ofType(\1)", branch.strip()).replace("DateTime", "dateTime")
        whole = path.startswith("%resource.")
        root = resource["resourceType"] if whole else place
        found += _compiled(f"{root}.{path.removeprefix('%resource.')}")(resource)
    return [each for each in found if each is not None]


def _in_order(parts: list[tuple[Any, list[Any]]]) -> list[tuple[Any, list[Any]]]:
    """The definition of DocumentReference.relationship names its two parts the wrong way round."""
    (one, first), (other, second), *rest = parts
    return [(other, first), (one, second), *rest] if one.code == "relatesto" else parts


def _together(parts: list[tuple[Any, list[Any]]], text: str, base: str, now: datetime) -> bool:
    texts = split(text, "$")
    return all(
        any(KINDS[definition.type](value, "", each, definition, base, now) for value in values)
        for (definition, values), each in zip(parts, texts, strict=True)
    )


@cache
def _compiled(expression: str) -> Callable[..., list[Any]]:
    return fhirpathpy.compile(expression, models["r4"])


def extracted(resource: dict[str, Any], expression: str) -> list[Any]:
    kind = resource["resourceType"]
    found: list[Any] = []
    for branch in expression.split("|"):
        target, path = RESOLVE.search(branch), ABSTRACT.sub(f"{kind}.", RESOLVE.sub("", branch).strip())
        path = f"{kind}.{path}" if path[0].islower() else path
        if path.strip("(").startswith(f"{kind}."):
            understood = re.sub(r"hasExtension\((.+?)\)", r"extension(\1).exists()", CAST.sub(r"\1.ofType(\2)", path))
            TypeInfo.model = None  # Others may have left theirs, by which a canonical is a uri as well.
            values = _compiled(understood)(resource)
            found += [each for each in values if target is None or _refers(each, target.group(1))]
    return [_inner(each) for each in found if each is not None]


def _inner(value: Any) -> Any:
    """An extension stands for its value."""
    held = [name for name in value if name.startswith("value")] if isinstance(value, dict) and "url" in value else []
    return value[held[0]] if held else value


def _refers(value: dict[str, Any], target: str) -> bool:
    return f"{target}/" in value.get("reference", "") or value.get("type") == target


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    parts = (
        "text",
        "family",
        "given",
        "prefix",
        "suffix",
        "line",
        "city",
        "district",
        "state",
        "postalCode",
        "country",
    )
    found = [value[name] for name in parts if name in value]
    return [text for each in found for text in ([each] if isinstance(each, str) else each) if text]


def _string(value: Any, modifier: str, text: str, *_: Any) -> bool:
    text = meant(text)
    if modifier == "exact":
        return text in _texts(value)
    if modifier == "contains":
        return any(plain(text) in plain(each) for each in _texts(value))
    return any(plain(each).startswith(plain(text)) for each in _texts(value))


def _phonetic(value: Any, modifier: str, text: str, *_: Any) -> bool:
    heard = {_soundex(word) for each in _texts(value) for word in re.findall(r"[a-z]+", plain(each).replace(" ", "-"))}
    return all(_soundex(word) in heard for word in plain(text).split())


def _soundex(word: str) -> str:
    """By the textbook: digits, `h` and `w` dropped, repeats merged, vowels dropped."""
    digits = word.translate(str.maketrans("bfpvcgjkqsxzdtlmnraeiouy", "111122222222334556" + "0" * 6))
    merged = re.sub(r"(.)\1+", r"\1", digits[0] + re.sub("[hw]", "", digits[1:]))
    return (word[0] + merged[1:].replace("0", "") + "000")[:4]


def _codes(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, bool):
        return [("http://terminology.hl7.org/CodeSystem/special-values", str(value).lower())]
    if isinstance(value, str):
        return [("", value)]
    if "coding" in value:
        return [pair for each in value["coding"] for pair in _codes(each)]
    return [(value.get("system", ""), value.get("code", value.get("value", "")))]


def _contact(text: str) -> str:
    return re.sub(r"[\s().\-/]", "", text) if re.fullmatch(r"\+?[\d\s().\-/]+", text) else text.casefold()


def _token(value: Any, modifier: str, text: str, definition: Any, *_: Any) -> bool:
    if modifier == "text":
        beside = value.get("type", value) if isinstance(value, dict) else {}
        texts = [beside.get("text"), beside.get("display"), *(c.get("display") for c in beside.get("coding", ()))]
        return any(plain(each).startswith(plain(meant(text))) for each in texts if each)
    if modifier == "of-type":
        system, code, number = map(meant, split(text, "|"))
        kind = value.get("type") if isinstance(value, dict) else None
        kinds = [(c.get("system"), c.get("code")) for c in (kind or {}).get("coding", ())]
        return (system, code) in kinds and value.get("value") == number
    *systems, code = map(meant, split(text, "|"))
    system, bar = "".join(systems), bool(systems)
    fold = _contact if CONTACT.search(definition.expression) else str
    return any(
        (not bar or system == own or _implied(value, system, definition)) and (not code or fold(code) == fold(found))
        for own, found in _codes(value)
    )


def _implied(value: Any, system: str, definition: Any) -> bool:
    """A code has the system of its binding; here are the bindings that the tests use."""
    if not isinstance(value, str):
        return isinstance(value, bool) and not system
    return definition.code in BINDINGS and system in ("", BINDINGS[definition.code])


def _reference(value: Any, modifier: str, text: str, definition: Any, base: str, now: datetime) -> bool:
    if modifier == "identifier":
        return isinstance(value, dict) and _token(value.get("identifier", {}), "", text, definition)
    literal = value if isinstance(value, str) else value.get("reference", "")
    literal, text = literal.removeprefix(f"{base}/"), meant(text).removeprefix(f"{base}/")
    if modifier:
        text = text if "/" in text else f"{modifier}/{text}"
    if isinstance(value, str):
        return text in (literal, literal.split("|")[0])
    if "/" not in text and ":" not in text:
        target = re.fullmatch(rf"([A-Z][a-zA-Z]+)/{re.escape(text)}(/_history/.*)?", literal)
        return target is not None and (not definition.targets or target.group(1) in definition.targets)
    return text in (literal, literal.split("/_history/")[0])


def _uri(value: str, modifier: str, text: str, *_: Any) -> bool:
    text = meant(text)
    known = (value, value.split("|")[0])
    if modifier == "below":
        return any(each == text or each.startswith(text.rstrip("/") + "/") for each in known)
    if modifier == "above":
        return any(each == text or f"{text}/".startswith(each.rstrip("/") + "/") for each in known)
    if modifier == "contains":
        return text in value
    return text in known


def _bounds(text: str) -> Range:
    """The first moment and the first moment after."""
    date, _, time = text.partition("T")
    parts = [int(each) for each in date.split("-")]
    if time:
        return _moment(text, time)
    first = datetime(*[*parts, 1, 1][:3], tzinfo=UTC)  # type: ignore[arg-type]
    days = [366 if calendar.isleap(parts[0]) else 365, calendar.monthrange(parts[0], [*parts, 1][1])[1], 1]
    try:
        return first, first + timedelta(days=days[len(parts) - 1])
    except OverflowError:
        return first, LAST - timedelta(milliseconds=5)


def _moment(text: str, time: str) -> Range:
    clock = re.match(r"[\d:.]+", time)
    assert clock is not None
    first = datetime.fromisoformat(text)
    first = first if first.tzinfo else first.replace(tzinfo=UTC)
    digits = len(clock.group().partition(".")[2])
    width = timedelta(seconds=1) if clock.group().count(":") == 2 else timedelta(minutes=1)
    return first, first + (max(timedelta(seconds=1) / 10**digits, timedelta(milliseconds=1)) if digits else width)


def _is_dated(value: Any) -> bool:
    """Not what only says how often. https://hl7.org/fhir/R4/search.html#date"""
    if not isinstance(value, dict):
        return re.match(r"\d{4}", getattr(value, "asStr", value)) is not None
    return bool({"start", "end"} & value.get("repeat", {}).get("boundsPeriod", value).keys()) or "event" in value


def _is_reference(value: Any) -> bool:
    """Not the attachment that may stand in its place."""
    return isinstance(value, str) or bool({"reference", "identifier", "type", "display"} & value.keys())


def _is_coded(value: Any) -> bool:
    """Not an identifier of which only the use is known."""
    return not isinstance(value, dict) or bool({"coding", "text", "system", "code", "value", "display"} & value.keys())


def _any(value: Any) -> bool:
    return True


FITTING: dict[str, Callable[[Any], bool]] = {"date": _is_dated, "reference": _is_reference, "token": _is_coded}
"""By kind of parameter: which values of its expression it can be about at all."""


def _times(value: Any) -> Range:
    if isinstance(value, str):
        return _bounds(value)
    if hasattr(value, "asStr"):
        return _bounds(value.asStr)
    if "event" in value or "repeat" in value:
        each = [_times(e) for e in value.get("event", ())]
        each += [_times(value["repeat"]["boundsPeriod"])] if "boundsPeriod" in value.get("repeat", {}) else []
        return min(low for low, _ in each), max(high for _, high in each)
    return (
        _bounds(value["start"])[0] if "start" in value else FIRST - timedelta(0),
        _bounds(value["end"])[1] if "end" in value else LAST,
    )


def _date(value: Any, modifier: str, text: str, definition: Any, base: str, now: datetime) -> bool:
    prefix = text[:2] if text[:2].isalpha() else "eq"
    low, high = _bounds(text.removeprefix(prefix).replace(" ", "+"))
    if prefix == "ap" and not low <= now < high:
        margin = abs(now - low) / 10
        low, high = low - margin, high + margin
    start, end = _times(value)
    open_start = isinstance(value, dict) and "start" not in value and "event" not in value and "repeat" not in value
    within = low <= start and end <= high and not open_start
    starts_before = start < low or open_start
    return {
        "eq": within,
        "ne": not within,
        "gt": end > high,
        "lt": starts_before,
        "ge": end > high or within,
        "le": starts_before or within,
        "sa": start >= high,
        "eb": end <= low,
        "ap": start < high and end > low,
    }[prefix]


def _special(value: Any, modifier: str, text: str, *_: Any) -> bool:
    """By the law of cosines."""
    latitude, longitude, distance, unit = [*text.split("|"), "", ""][:4]
    metres = float(distance or 50) * {"": 1000, "km": 1000, "m": 1, "[mi_us]": 6336000 / 3937}[unit]
    one, other, between = (
        math.radians(each)
        for each in (value["latitude"], float(latitude), float(longitude) - float(value["longitude"]))
    )
    cosine = math.sin(one) * math.sin(other) + math.cos(one) * math.cos(other) * math.cos(between)
    return math.acos(max(-1.0, min(1.0, cosine))) * 6_371_008.8 <= metres


def _worded(resource: dict[str, Any], code: str, text: str) -> bool:
    """Python decides, once every word has become True or False."""
    written = " ".join(ElementTree.fromstring(resource.get("text", {}).get("div", "<div/>")).itertext())
    if code == "_content":
        written += " " + json.dumps(
            [v for k, v in resource.items() if k not in ("text", "id", "meta", "resourceType", "subject")],
            ensure_ascii=False,
        )
    has = set(re.split(r"[^a-z0-9]+", accentless(written)))

    def truth(match: re.Match[str]) -> str:
        word = accentless(match.group())
        return word if word in ("and", "or", "not") else str(all(each in has for each in word.split("-")))

    asked = re.sub(r"[^\s()]+", truth, text)
    spaced = re.sub(r"(?<=True|alse)\s+(?=True|False|not|\()|(?<=\))\s+(?=True|False|not|\()", " and ", asked)
    return bool(eval(spaced.strip()))


KINDS: dict[str, Callable[..., bool]] = {
    "string": _string,
    "phonetic": _phonetic,
    "token": _token,
    "reference": _reference,
    "uri": _uri,
    "date": _date,
    "number": naive_numbers.number,
    "quantity": naive_numbers.quantity,
    "special": _special,
}
