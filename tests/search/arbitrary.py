"""Resources of any type, drawn element by element from the definitions: not valid, but searchable in every way.

Values come from small pools, so that what is searched for is found now and then, and nearly found even more often.
https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import Element

Value = Any
Draw = Callable[[random.Random], Value]

BASE = "https://ehr.example/fhir/acme"
DEEPEST = 3
"""Backbone elements within each other."""
OFTEN = 0.4
"""How likely an element is there."""

TEXTS = ("Smith", "smith", "Smithson", "Müller", "O'Neill-Katz", "Two  words", "Éve", "a,b|c$d", "(a+)+$", "x\\y", "12")
CODES = ("a", "A", "ab", "b-1", "b,1", "c|d", "e$f", "8867-4")
SYSTEMS = (None, "http://a.example", "http://a.example/sub", "http://a.examples", "urn:oid:1.2")
URIS = (
    "http://acme.org/fhir",
    "http://acme.org/fhir/",
    "http://acme.org/fhir/ValueSet/1",
    "http://acme.org/fhir/ValueSet/12",
    "http://acme.org/fhirother",
    "HTTP://acme.org/fhir",
    "urn:oid:1.2.3",
    "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
)
DAYS = ("2019-12-31", "2020-01-01", "2020-02-28", "2020-02-29", "2020-03-01", "2021-01-01")
TIMES = ("T00:00:00Z", "T10:30:00Z", "T10:30:59.999Z", "T23:59:59-05:00", "T01:00:00+14:00")
NUMBERS = ("0", "1", "-5", "5", "5.0", "5.4", "5.36", "5.45", "99.5", "100", "100.5", "1E+2", "0.001", "123456.789")
UNITS = (
    {},
    {"unit": "pc"},
    {"unit": "piece", "system": "http://units.example", "code": "pc"},
    {"system": "http://units.example", "code": "box"},
    {"system": "http://other.example", "code": "pc"},
)
"""Units of no system that can be converted."""


def resource(chance: random.Random, resource_type: str, resource_id: str, often: float = OFTEN) -> dict[str, Any]:
    elements = _children(chance, resource_type, resource_type, 0, often)
    return {"resourceType": resource_type, "id": resource_id, **elements}


def _children(chance: random.Random, structure: str, path: str, depth: int, often: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in _searchable(structure, path):
        if chance.random() < often:
            name, kind = chance.choice(element.json_names())
            count = chance.randint(1, 3) if element.many else 1
            drawn = [each for _ in range(count) if (each := _value(chance, structure, element, kind, depth, often))]
            if drawn:
                found[name] = drawn if element.many else drawn[0]
    return found


@cache
def _searchable(structure: str, path: str) -> tuple[Element, ...]:
    """Everything but ids, narrative, extensions and what is contained."""
    listed = definitions.structure(structure).elements.get(path, ())
    return tuple(each for each in listed if each.name not in LEFT_OUT and set(each.types) <= ABLE)


def _value(chance: random.Random, structure: str, element: Element, kind: str, depth: int, often: float) -> Value:
    if kind in TYPES:
        return TYPES[kind](chance)
    if kind == "code":
        return chance.choice(_codes(element.binding.value_set if element.binding else ""))
    if kind == "Reference":
        return _reference(chance, element.targets)
    within = element.content or element.path
    return _children(chance, structure, within, depth + 1, often) if depth < DEEPEST else None


@cache
def _codes(value_set: str) -> tuple[str, ...]:
    return tuple(sorted(definitions.codes(value_set) or CODES[:4])[:5])


def _optional(chance: random.Random, **parts: Draw) -> dict[str, Any]:
    """Some of these, and at least one."""
    kept = [name for name in parts if chance.random() < 0.6] or [chance.choice(list(parts))]
    return {name: value for name in kept if (value := parts[name](chance)) is not None}


def _one_of(*values: Value) -> Draw:
    return lambda chance: chance.choice(values)


def _some(draw: Draw) -> Draw:
    return lambda chance: [draw(chance) for _ in range(chance.randint(1, 2))]


def number(chance: random.Random) -> Decimal:
    return Decimal(chance.choice(NUMBERS))


def _integer(chance: random.Random) -> int:
    return chance.choice((1, 2, 5, 100))


def date(chance: random.Random) -> str:
    return chance.choice(DAYS)[: chance.choice((4, 7, 10, 10))]


def moment(chance: random.Random) -> str:
    return chance.choice(DAYS) + chance.choice(TIMES)


def date_time(chance: random.Random) -> str:
    return chance.choice((date, moment))(chance)


def _period(chance: random.Random) -> dict[str, Any]:
    start, end = sorted((chance.choice(DAYS), chance.choice(DAYS)))
    return chance.choice(({"start": start, "end": end}, {"start": start}, {"end": end}, {"start": start[:7]}))


def _timing(chance: random.Random) -> dict[str, Any]:
    return {"event": _some(date_time)(chance)} | chance.choice(({}, {"repeat": {"boundsPeriod": _period(chance)}}))


def _coding(chance: random.Random) -> dict[str, Any]:
    return _optional(chance, system=_one_of(*SYSTEMS), code=_one_of(*CODES), display=_one_of(*TEXTS)) or {"code": "a"}


def _concept(chance: random.Random) -> dict[str, Any]:
    return _optional(chance, coding=_some(_coding), text=_one_of(*TEXTS))


def _identifier(chance: random.Random) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://kinds.example", "code": chance.choice(("MR", "SS"))}], "text": "Record"}
    named = {"value": chance.choice(CODES), "system": chance.choice(SYSTEMS), "type": chance.choice((None, kind))}
    return {name: value for name, value in named.items() if value}


def _contact(chance: random.Random) -> dict[str, Any]:
    return chance.choice(
        (
            {"system": "phone", "value": "+1 (555) 010-9999"},
            {"system": "phone", "value": "555.0100"},
            {"system": "email", "value": "Ann@Example.org"},
            {"value": "5550100"},
        )
    )


def _name(chance: random.Random) -> dict[str, Any]:
    text = _one_of(*TEXTS)
    return _optional(chance, text=text, family=text, given=_some(text), prefix=_some(text), suffix=_some(text))


def _address(chance: random.Random) -> dict[str, Any]:
    text = _one_of(*TEXTS)
    parts = dict.fromkeys(("text", "city", "district", "state", "postalCode", "country"), text)
    return _optional(chance, line=_some(text), use=_one_of("home", "work"), **parts)


def quantity(chance: random.Random) -> dict[str, Any]:
    comparator = chance.choice((None, None, None, "<", "<=", ">=", ">"))
    return {"value": number(chance), **({"comparator": comparator} if comparator else {}), **chance.choice(UNITS)}


def _range(chance: random.Random) -> dict[str, Any]:
    low, high = sorted((number(chance), number(chance)))
    unit = chance.choice(UNITS)
    ends = {"low": {"value": low, **unit}, "high": {"value": high, **unit}}
    return chance.choice((ends, {"low": ends["low"]}, {"high": ends["high"]}))


def _samples(chance: random.Random) -> dict[str, Any]:
    limits = {"lowerLimit": Decimal(-10), "upperLimit": Decimal(10), "factor": chance.choice((Decimal(1), Decimal(2)))}
    data = " ".join(chance.choices(("0", "5", "-3", "L", "U", "E"), k=3)) + " 1"
    return {"origin": {"value": number(chance), **chance.choice(UNITS)}, "period": 1, **limits, "data": data}


def _money(chance: random.Random) -> dict[str, Any]:
    return {"value": number(chance), "currency": chance.choice(("EUR", "USD"))}


def _reference(chance: random.Random, targets: tuple[str, ...]) -> dict[str, Any]:
    kind = chance.choice(targets or ("Patient", "Observation", "Group"))
    own = f"{kind}/{chance.choice('123')}"
    return chance.choice(
        (
            {"reference": own},
            {"reference": own},
            {"reference": f"{own}/_history/2"},
            {"reference": f"{BASE}/{own}"},
            {"reference": f"http://other.example/fhir/{own}"},
            {"reference": "#inside"},
            {"type": kind, "identifier": _identifier(chance)},
        )
    )


def _meta(chance: random.Random) -> dict[str, Any]:
    return _optional(
        chance,
        tag=_some(_coding),
        security=_some(_coding),
        profile=_some(_canonical),
        source=_one_of(*URIS),
    )


def _canonical(chance: random.Random) -> str:
    return str(chance.choice(URIS)) + chance.choice(("", "", "|1.0", "|2.0"))


TYPES: dict[str, Draw] = {
    **dict.fromkeys(("string", "markdown"), _one_of(*TEXTS)),
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), _integer),
    **dict.fromkeys(("Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration"), quantity),
    **dict.fromkeys(("uri", "url", "oid", "uuid"), _one_of(*URIS)),
    "Address": _address,
    "CodeableConcept": _concept,
    "Coding": _coding,
    "ContactPoint": _contact,
    "HumanName": _name,
    "Identifier": _identifier,
    "Meta": _meta,
    "Money": _money,
    "Period": _period,
    "Range": _range,
    "SampledData": _samples,
    "Timing": _timing,
    "boolean": _one_of(True, False),
    "canonical": _canonical,
    "date": date,
    "dateTime": date_time,
    "decimal": number,
    "id": _one_of("1", "2", "a-b.c"),
    "instant": moment,
}
"""By FHIR type: how a value is drawn."""

ABLE = TYPES.keys() | {"code", "Reference", "BackboneElement", "Element", ""}
LEFT_OUT = frozenset({"id", "extension", "modifierExtension", "contained", "text", "implicitRules", "language"})
