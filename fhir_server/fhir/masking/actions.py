"""What rules do to one value: the value that takes its place, or None where none does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from fhir_server.fhir.definitions import kinds, resource_types, structure
from fhir_server.fhir.masking.project import Project
from fhir_server.fhir.masking.rules import rules
from fhir_server.fhir.references import CONDITIONAL
from fhir_server.fhir.resource import ID, Resource

Style = Literal["drop", "constant", "distinct"]
"""What stands where something was dropped: nothing where that is possible; or always a word; or words that differ."""

WORD = "masked"
NOWHERE = "https://masked.invalid"
BUCKET = 90
"""Years: nothing of a longer time ago says when, nobody older how old."""

_US_ZIP = re.compile(r"([0-9]{3})[0-9]{2}(?:-?[0-9]{4})?\Z")
_STATE, _COUNTRY = re.compile(r"[A-Z]{2}\Z"), re.compile(r"[A-Z]{2,3}\Z")
_YEAR = re.compile(r"[0-9]{4}")
_LITERAL = re.compile(r"(?P<base>https?://\S+/)?(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/\S+)?\Z")


@dataclass(frozen=True, slots=True)
class About:
    """Where a value is: in which resource, of which project, in which year the copy is made."""

    project: Project
    year: int
    style: Style
    resource_type: str
    resource_id: str
    is_contained: bool = False
    in_extension: bool = False


def year(value: Any, about: About) -> str | None:
    """45 CFR §164.514(b)(2)(i)(C): the year; of one so long ago that it tells an age over 89 not even that."""
    found = _YEAR.match(str(value))
    return f"{max(int(found.group()), about.year - BUCKET):04}" if found else None


def instant(value: Any, about: About) -> str | None:
    """An instant must have a day and a time: those that the year begins with."""
    found = year(value, about)
    return f"{found}-01-01T00:00:00Z" if found else None


def address(value: Any, about: About) -> str | None:
    """Of a standard, or another one that says nothing; a fragment names what is contained."""
    text = str(value)
    if text.startswith("#"):
        return reference(text, about)
    if text in kinds() or rules().is_standard(text):
        return text
    return about.project.uuid(text.partition("|")[0])


def reference(value: Any, about: About) -> str:
    """To the same resource under its other id; a reference by criteria or by another kind of URL to nothing known."""
    text = str(value)
    if text.startswith("#"):
        return f"#{about.project.name(text[1:])}" if ID.match(text[1:]) else "#"
    if text in resource_types():
        return text
    found = _LITERAL.match(text)
    if found is None or found["type"] not in resource_types() or CONDITIONAL.match(text):
        return about.project.uuid(text)
    local = f"{found['type']}/{about.project.resource_id(found['type'], found['id'])}"
    return f"{NOWHERE}/{about.project.name(found['base'])}/fhir/{local}" if found["base"] else local


def keep_type(value: Any, _: About) -> str | None:
    return value if value in resource_types() else None


def zip_code(value: Any, _: About) -> str | None:
    """45 CFR §164.514(b)(2)(i)(B)"""
    found = _US_ZIP.match(str(value))
    if found is None:
        return None
    return "000" if found[1] in rules().restricted_zips else found[1]


def path(value: Any, about: About) -> str:
    """Names that R4 defines there as they are, others under another name."""
    first, *names = str(value).split(".")
    shown, here = [first if first in kinds() else about.project.name(first)], first
    for name in names:
        listed = structure(first).elements.get(here, ()) if first in kinds() else ()
        known = name in {each.name + ("[x]" if each.choice else "") for each in listed}
        shown.append(name if known else about.project.name(name))
        here = f"{here}.{name}"
    return ".".join(shown)


def age(value: Resource, _: Resource) -> Resource:
    """45 CFR §164.514(b)(2)(i)(C): ages over 89 are one."""
    most = rules().oldest.get(str(value.get("code")))
    found = value.get("value")
    if most is None or not isinstance(found, Decimal | int) or found <= most:
        return value
    return {**value, "value": most + 1}


def place(value: Resource, source: Resource) -> Resource:
    """Only of ZIP codes and states of one country is it known how many people live there."""
    if source.get("country", "US") in HOME:
        return value
    return {name: each for name, each in value.items() if name not in ("postalCode", "state")}


HOME = frozenset({"US", "USA", "United States", "United States of America"})

Action = Callable[[Any, About], Any]

ON_PRIMITIVES: Mapping[str, Action] = {
    "keep": lambda value, _: value,
    "drop": lambda _value, _about: None,
    "remove": lambda _value, _about: None,
    "year": year,
    "instant": instant,
    "address": address,
    "reference": reference,
    "keep_type": keep_type,
    "zip": zip_code,
    "path": path,
    "number": lambda value, _: value if value.isdigit() else None,
    "cardinality": lambda value, _: value if value == "*" or value.isdigit() else None,
    "state": lambda value, _: value if _STATE.match(value) else None,
    "country": lambda value, _: value if _COUNTRY.match(value) else None,
    "name": lambda value, about: about.project.name(value),
    "token": lambda value, about: about.project.token(value),
    "uuid": lambda value, about: about.project.uuid(value),
    "oid": lambda value, about: about.project.oid(value),
    "label": lambda _, about: f"{about.resource_type} {about.project.digest('label', about.resource_id)[:6]}",
    "family": lambda _, about: about.project.one_of(rules().families, "family", about.resource_type, about.resource_id),
    "given": lambda _, about: about.project.one_of(rules().givens, "given", about.resource_type, about.resource_id),
}
"""By the name of a rule."""

ON_COMPLEX: Mapping[str, Callable[[Resource, Resource], Resource]] = {"age": age, "place": place}
"""What is done to an element once its children were masked, given those of the source too."""

IN_PLACE: Mapping[str, str] = {
    "string": WORD,
    "markdown": WORD,
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">masked</div>',
    "base64Binary": "bWFza2Vk",
    "url": "https://masked.invalid/",
    "uri": "urn:masked",
    "canonical": "urn:masked",
    "code": WORD,
    "id": WORD,
    "date": "2000",
    "dateTime": "2000",
    "instant": "2000-01-01T00:00:00Z",
}
"""What stands where a value must stand and must not be known."""


def in_place(type_name: str, value: Any, about: About) -> Any:
    """Something that says nothing; where values of one kind must differ, so do these."""
    if about.style == "distinct" and type_name in ("string", "markdown"):
        return about.project.name(str(value))
    return IN_PLACE[type_name]
