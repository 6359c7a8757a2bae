"""Text, names, identifiers, constants and guards.  https://hl7.org/fhir/R4/datatypes.html"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any

from fhir_server.mapping.converter import ANY, ITEM, SAME, TEXT, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.identity import key_text
from fhir_server.mapping.systems import V2_0203
from fhir_server.mapping.text import folded

Object = dict[str, Any]


def copy(value: str) -> str:
    return value


def cctext(value: Any) -> Object:
    """A concept of which only the words are known."""
    return {"text": str(value)}


def note(value: Any) -> Object:
    return {"text": str(value)}


def const(_: Any, word: str) -> str:
    """The same text whatever the value, as long as there is one."""
    return word


def cc(_: Any, coding: Object) -> Object:
    """The same concept whatever the value, as long as there is one."""
    return {"coding": [coding]}


def phrase(value: Any, pattern: str) -> str:
    """A sentence with the value in place of `{}`."""
    return pattern.replace("{}", str(value))


def default(value: Any, word: str) -> Any:
    return word if value is None else value


@lru_cache(maxsize=256)
def _type(code: str) -> Object:
    return {"coding": [{"system": V2_0203, "code": code}]}


def identifier(value: Any, system: str, type_code: str | None = None) -> Object:
    """https://hl7.org/fhir/R4/datatypes.html#Identifier"""
    found: Object = {"system": system, "value": key_text(value)}
    return {"type": _type(type_code), **found} if type_code else found


def humanname(value: str) -> Object:
    """A whole name, split at the last blank."""
    given, _, family = value.rpartition(" ")
    if given:
        return {"text": value, "family": family, "given": given.split()}
    return {"text": value, "family": family}


def digits(value: str, count: str) -> str:
    """The digits of a number written with dashes, when there are as many as there must be."""
    found = re.sub(r"[\s.-]", "", value)
    if found.isdecimal() and found.isascii() and len(found) == int(count):
        return found
    raise Fault("TYPE_INVALID", f"The value does not have {count} digits.")


def npi(value: str) -> str:
    """A National Provider Identifier: ten digits with a Luhn check digit over 80840 and the number."""
    found = key_text(value)
    if len(found) == 10 and found.isascii() and found.isdecimal() and _luhn("80840" + found):
        return found
    raise Fault("TYPE_INVALID", "The value is not an NPI: ten digits with a check digit.", kept=found)


def _luhn(number: str) -> bool:
    doubled = (int(each) * (2 if at % 2 else 1) for at, each in enumerate(reversed(number)))
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def given(value: Any, other: Any, words: Words) -> Any:
    """The value, as long as another column has one, or one of those named."""
    return value if _stands(other, words) else None


def unless(value: Any, other: Any, words: Words) -> Any:
    """The value, as long as another column has none, or none of those named."""
    return None if _stands(other, words) else value


def _stands(other: Any, words: Words) -> bool:
    return other is not None and (not words or folded(other) in words)


def attachment(value: str, content_type: str) -> Object:
    """https://hl7.org/fhir/R4/datatypes.html#Attachment"""
    return {"contentType": content_type, "data": b64(value)}


def b64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def longer_than(value: str, size: str) -> str | None:
    """The text, when it has more bytes than this."""
    return value if len(value.encode()) > int(size) else None


"""`reference` and `link` are written by the compiler: an id is computed from the names around a key."""
GUARD = ("column", "value*")
TARGET = ("type", "output", "column?")
CONVERTERS = {
    "copy": Converter(copy, TEXT, "string"),
    "cctext": Converter(cctext, ITEM, "CodeableConcept"),
    "note": Converter(note, ITEM, "Annotation"),
    "const": Converter(const, ANY, "string", ("word",)),
    "cc": Converter(cc, ANY, "CodeableConcept", ("coding",)),
    "phrase": Converter(phrase, ITEM, "string", ("word",)),
    "default": Converter(default, TEXT, SAME, ("word",), none=True, always=True),
    "identifier": Converter(identifier, ITEM, "Identifier", ("system", "word?")),
    "humanname": Converter(humanname, TEXT, "HumanName"),
    "digits": Converter(digits, TEXT, SAME, ("word",), fails=True),
    "npi": Converter(npi, ITEM, "text", fails=True),
    "given": Converter(given, ANY, SAME, GUARD),
    "unless": Converter(unless, ANY, SAME, GUARD),
    "reference": Converter(copy, ITEM, "Reference", TARGET),
    "link": Converter(copy, ITEM, "url", TARGET),
    "attachment": Converter(attachment, TEXT, "Attachment", ("word",)),
    "b64": Converter(b64, TEXT, "base64Binary"),
    "longer_than": Converter(longer_than, TEXT, SAME, ("word",)),
}
