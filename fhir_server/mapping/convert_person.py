"""People as a health record writes them: names with titles, postal addresses, years of a life.  https://hl7.org/fhir/R4/datatypes.html#HumanName"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.mapping.convert_measure import UCUM, quantity
from fhir_server.mapping.convert_number import integer
from fhir_server.mapping.convert_time import fhir_date
from fhir_server.mapping.converter import NUMBER, SAME, TEXT, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import normalised, text

Object = dict[str, Any]
TITLES = frozenset({"DR", "PROF", "MR", "MRS", "MS", "MISS", "MX"})
CREDENTIALS = frozenset(
    """
    MD DO NP PA PAC RN BSN MSN DNP APRN FNP CRNA DDS DMD DPM OD DC PT DPT OT SLP PHD PSYD LCSW LPC LMFT MPH
    PHARMD RPH FACP FACC FACS FAAP MBBS JR SR II III IV
    """.split()  # noqa: SIM905 - sixty quotes would hide them
)
ADDRESS: Mapping[str, tuple[str, ...]] = {
    "line": ("street", "street_address", "line", "line1", "address_line1", "line2", "address_line2"),
    "city": ("city",),
    "state": ("state",),
    "postalCode": ("zip", "zip_code", "postal_code"),
    "country": ("country",),
}
"""Members of an address object, by the element they fill."""


def titled(value: str) -> Object:
    """A name with titles before it and credentials behind it: `Dr. Ana Lee, MD, FACP`."""
    words = value.replace(",", " ").split()
    prefix: list[str] = []
    suffix: list[str] = []
    while len(words) > 1 and _bare(words[0]) in TITLES:
        prefix.append(words.pop(0))
    while len(words) > 1 and _bare(words[-1]) in CREDENTIALS:
        suffix.insert(0, words.pop())
    parts = {"family": words[-1] if words else None, "given": words[:-1], "prefix": prefix, "suffix": suffix}
    return {"text": value, **{name: part for name, part in parts.items() if part}}


def _bare(word: str) -> str:
    return re.sub(r"[.\-]", "", word).upper()


def name_agrees(value: Any, written: Any, given: Any, family: Any) -> Any:
    """The value, with a warning where a name as it is written is not that of the person."""
    if written is None or given is None or family is None:
        return value
    if set(normalised(f"{given} {family}").split()) <= set(normalised(str(written)).split()):
        return value
    raise Fault("IMPLAUSIBLE_VALUE", "The name is not the name of the patient.", kept=value)


def postal(value: Any) -> Object | None:
    """An address in JSON: a text, or an object with its street, city, state and code."""
    if isinstance(value, str):
        found = text(value)
        return {"text": found} if found else None
    if not isinstance(value, dict):
        raise Fault("TYPE_INVALID", "The value is no address.")
    parts = {element: [word for name in names if (word := _word(value, name))] for element, names in ADDRESS.items()}
    return {name: words if name == "line" else words[0] for name, words in parts.items() if words} or None


def _word(value: Object, name: str) -> str | None:
    found = value.get(name)
    return None if isinstance(found, dict | list) else text(found)


def year(value: Any) -> str | None:
    """A year, as a date of that precision.  https://hl7.org/fhir/R4/datatypes.html#date"""
    found = integer(value)
    return None if found is None else fhir_date(f"{found:04d}-01-01")[:4]


def years_old(value: Any) -> Object | None:
    """An age in whole years; within the first one there is none to count.  https://hl7.org/fhir/R4/datatypes.html#Age"""
    found = integer(value)
    if found == 0:
        return {"value": 1, "comparator": "<", "unit": "years", "system": UCUM, "code": "a"}
    return None if found is None else quantity(found, "a", "1", "120")


CONVERTERS = {
    "titled": Converter(titled, TEXT, "HumanName"),
    "name_agrees": Converter(name_agrees, frozenset({"Reference"}), SAME, ("column", "column", "column"), fails=True),
    "postal": Converter(postal, frozenset({"item"}), "Address", fails=True, nested=True),
    "years_old": Converter(years_old, NUMBER, "Age", fails=True),
    "year": Converter(year, NUMBER, "date", fails=True),
}
