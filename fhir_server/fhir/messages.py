"""What a broken rule is called, what it asks for, and what was seen instead, in words that a person can act on.

R4 states each rule in a sentence; to it come the values that the rule is about, and what is to be done where the
sentence does not say it.  https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from fhir_server.fhir import references
from fhir_server.fhir.definitions import Constraint, Element, structure
from fhir_server.fhir.predicates import descendants

FEW = 6
"""So many values are told in a message."""

_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'")
_NAME = re.compile(r"(?<![\w.%$])([a-z]\w*)\b(?!\()")


def told(constraint: Constraint, value: Any, path: str, root: Any) -> str:
    """`per-1: If present, start SHALL have a lower value than end. Here: start is '2020', end is '2019'.`"""
    about = culprits(constraint.key, value, root) or seen_values(constraint, value, path)
    human = f"{constraint.key}: {constraint.human}.".replace("..", ".")
    hint = f" {HINTS[constraint.key]}" if constraint.key in HINTS else ""
    return f"{human} Here: {', '.join(about)}.{hint}" if about else human + hint


def seen_values(constraint: Constraint, value: Any, path: str) -> list[str]:
    """The children of the element that the rule names, as they are; where it names many, only those that are there."""
    if not isinstance(value, dict):
        return [f"it is '{shortened(value)}'"]
    named = _elements(path, constraint.expression)
    there = {each.name: name for each in named for name, _ in each.json_names() if name in value or f"_{name}" in value}
    told_of = named if len(named) <= FEW else [each for each in named if each.name in there][:FEW]
    return [
        described(there[each.name], value) if each.name in there else f"there is no {each.name}" for each in told_of
    ]


@cache
def _elements(path: str, expression: str) -> tuple[Element, ...]:
    names = dict.fromkeys(_NAME.findall(_outside(_LITERAL.sub("''", expression).replace(f"{path}.", ""))))
    known = {each.name: each for each in structure(path.partition(".")[0]).elements.get(path, ())}
    return tuple(known[each] for each in names if each in known)


def _outside(expression: str) -> str:
    """The expression without what it asks of other elements: the arguments of functions."""
    kept, depth, opened = "", 0, []
    for at, each in enumerate(expression):
        if each == "(":
            opened.append(expression[at - 1 : at].isalpha())
            depth += opened[-1]
        elif each == ")" and opened:
            depth -= opened.pop()
        elif not depth:
            kept += each
            continue
        kept += each if not depth or (each == "(" and depth == 1) else ""
    return kept


def described(name: str, element: Any) -> str:
    found = element.get(name)
    if found is None:
        return f"{name} has no value"
    if isinstance(found, list):
        return f"{name} has {len(found)} item{'s' if len(found) > 1 else ''}"
    if isinstance(found, dict):
        return f"{name} is {summarised(found)}"
    return f"{name} is '{shortened(str(found).lower() if isinstance(found, bool) else found)}'"


def summarised(found: Any) -> str:
    """The codes of a concept, the value of a quantity; for all else that it is there."""
    if "value" in found:
        return f"'{shortened(found['value'])}{' ' * ('unit' in found)}{found.get('unit', '')}'"
    codes = [f"'{each['code']}'" for each in found.get("coding", [found]) if "code" in each]
    return shortened(" and ".join(codes)) if codes else "there"


def shortened(value: Any, size: int = 60) -> str:
    """What was sent, cut to a length that fits a sentence."""
    text = str(value)
    return text if len(text) <= size else f"{text[:size]}…"


def culprits(key: str, value: Any, root: Any) -> list[str]:
    """What breaks a rule about many things, by name; nothing where the rule is about one."""
    found = [f"'{shortened(each)}'" for each in CULPRITS[key](value, root)] if key in CULPRITS else []
    more = [f"{len(found) - FEW} more"] if len(found) > FEW else []
    return found[:FEW] + more


Named = Callable[[Any, Any], Iterable[Any]]


def repeated(name: str, *keys: str) -> Named:
    """What the children `name` have in common in these elements."""
    return lambda value, _: _twice(" ".join(str(e[key]) for key in keys if key in e) for e in value.get(name, ()))


def repeated_within(name: str, key: str) -> Named:
    """As `repeated`, at any depth."""
    return lambda value, _: _twice(each.get(key) for each in descendants(value, name))


def repeated_elements(part: str, key: str) -> Named:
    return lambda value, _: _twice(each.get(key, f"no {key}") for each in value.get(part, {}).get("element", ()))


def without(*names: str) -> Named:
    """Paths of the elements of a snapshot or differential that lack one of these."""
    return lambda part, _: [
        f"{each.get('path')} without {name}" for each in part.get("element", ()) for name in names if name not in each
    ]


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, number in Counter(values).items() if number > 1 and value]


def _contained_ids(resource: Any, _: Any) -> list[Any]:
    return _twice(each.get("id") for each in resource.get("contained", ()))


def _unused(resource: Any, _: Any) -> list[str]:
    return [f"#{each}" if each else "one without an id" for each in references.unused(resource)]


CULPRITS: dict[str, Named] = {
    "bdl-7": repeated("entry", "fullUrl"),
    "contained-id": _contained_ids,
    "cpb-7": repeated("document", "profile", "mode"),
    "cpb-9": repeated("resource", "type"),
    "cpb-12": repeated("searchParam", "name"),
    "csd-1": repeated_within("concept", "code"),
    "dom-3": _unused,
    "eld-13": repeated("type", "code"),
    "eld-14": repeated("constraint", "key"),
    "que-2": repeated_within("item", "linkId"),
    "sdf-1": repeated_elements("snapshot", "path"),
    "sdf-3": without("definition", "min", "max"),
    "sdf-8": lambda part, _: [each.get("path") for each in part["element"]],
    "sdf-8a": lambda part, _: [each.get("path") for each in part["element"]],
    "sdf-8b": without("base"),
    "sdf-16": repeated_elements("snapshot", "id"),
    "sdf-17": repeated_elements("differential", "id"),
}

UCUM_CODE = "Give the UCUM code of the unit, and http://unitsofmeasure.org as its system"
HINTS: dict[str, str] = {
    "age-1": f"{UCUM_CODE}: 'a' for years, 'mo' for months.",
    "ait-1": "Add a clinicalStatus: active, inactive or resolved.",
    "ait-2": "Leave clinicalStatus out.",
    "app-3": "Add start and end, or use the status proposed, cancelled or waitlist.",
    "app-4": "Leave cancelationReason out, or set the status to cancelled; the code for no-show is not the rule's own.",
    "att-1": "Add the MIME type of the data, such as application/pdf.",
    "bdl-3": "Every entry of a batch, transaction or history has a request; others have none.",
    "bdl-4": "Every entry of a batch-response, transaction-response or history has a response; others have none.",
    "bdl-7": "Give each entry its own fullUrl, or entries of one resource different meta.versionId.",
    "bdl-8": "Leave '/_history/…' out; meta.versionId tells the version.",
    "cnt-3": "A count is a whole number with the code '1'.",
    "con-4": "Set clinicalStatus to inactive, resolved or remission, or leave the abatement out.",
    "con-5": "Leave clinicalStatus out.",
    "dis-1": f"{UCUM_CODE}: 'm', 'km'.",
    "dom-3": "Refer to it as '#' and its id, or leave it out.",
    "drt-1": f"{UCUM_CODE}: 's', 'min', 'h', 'd'.",
    "ext-1": "An extension has either one value or extensions of its own.",
    "obs-6": "Leave one of the two out.",
    "obs-7": "Put the value either into Observation.value[x] or into a component with another code.",
    "org-2": "Use work, temp, old or billing.",
    "org-3": "Use work, temp, old or mobile.",
    "per-1": "Exchange start and end, or correct one of them.",
    "que-1": "A group has items, a display has none.",
    "ras-1": "Probabilities as a range are percentages: code '%' in http://unitsofmeasure.org.",
    "rat-1": "A ratio has both, or neither and an extension that says why.",
    "rng-2": "Exchange low and high, or correct one of them.",
    "sqty-1": "Leave the comparator out.",
    "tim-9": "An offset goes with an event such as ACM (before breakfast) or PC (after a meal).",
}
"""What to do where the sentence of the rule leaves it open."""
