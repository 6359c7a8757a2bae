"""Words of several columns put together, and words that stand for a code, a number or an address."""

from __future__ import annotations

import re
from base64 import b64encode
from html import escape
from typing import Any

from fhir_server.mapping.converter import ANY, ITEM, SAME, TEXT, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.identity import key_text

Words = tuple[str, ...]
Object = dict[str, Any]
XHTML = "http://www.w3.org/1999/xhtml"


def joined(value: Any, others: tuple[Any, ...]) -> str | None:
    """The values of several columns in one line."""
    return " ".join(str(each) for each in (value, *others) if each is not None) or None


def headed(value: Any, headings: Words, others: tuple[Any, ...]) -> str | None:
    """The values of several columns, each under a heading of its own."""
    parts = zip(headings, (value, *others), strict=True)
    return "\n\n".join(f"{heading}:\n{part}" for heading, part in parts if part is not None) or None


def otherwise(value: Any, others: tuple[Any, ...]) -> Any:
    """The value, else the first of several columns that has one."""
    return next((each for each in (value, *others) if each is not None), None)


def code(_: Any, word: str) -> str:
    """The same code whatever the value, as long as there is one."""
    return word


def coding(_: Any, found: Object) -> Object:
    """The same Coding whatever the value, as long as there is one."""
    return found


def coded(value: Any, system: str) -> Object:
    """A Coding with the value as its code."""
    return {"system": system, "code": str(value)}


def address(_: Any, system: str) -> str:
    """The URI of an alias whatever the value, as long as there is one."""
    return system


def canonical(value: Any, system: str) -> str:
    """The canonical URL that the value ends.  https://hl7.org/fhir/R4/references.html#canonical"""
    return f"{system}{re.sub(r'[^A-Za-z0-9.-]', '-', key_text(value))}"


def ordinal(_: Any, number: str) -> int:
    """The same number whatever the value, as long as there is one."""
    return int(number)


def only_digits(value: Any) -> str | None:
    """The text, where it is the number of a row and not a name."""
    found = key_text(value)
    return found if found.isascii() and found.isdecimal() else None


def named(value: Object, name: Any) -> Object:
    """A reference that also says the name of what it refers to."""
    return value if name is None else {**value, "display": str(name)}


def pascal(value: str) -> str | None:
    """A title as a name that machines can use: `New patient (eye)` is `NewPatientEye`."""
    found = "".join(each[:1].upper() + each[1:] for each in re.findall(r"[A-Za-z0-9]+", value))[:255]
    return found if found[:1].isalpha() else (f"Form{found}" if found else None)


def div(value: str) -> str:
    """Text as XHTML, a paragraph for each part.  https://hl7.org/fhir/R4/narrative.html#xhtml"""
    parts = (escape(each).replace("\n", "<br/>") for each in value.split("\n\n"))
    return f'<div xmlns="{XHTML}">{"".join(f"<p>{part}</p>" for part in parts)}</div>'


def hexadecimal(value: str) -> str:
    """The bytes that hexadecimal digits stand for, in Base64."""
    try:
        return b64encode(bytes.fromhex(value)).decode()
    except ValueError as fault:
        raise Fault("TYPE_INVALID", "The value has other than hexadecimal digits.") from fault


CONVERTERS = {
    "joined": Converter(joined, ITEM, "text", ("column+",), none=True),
    "headed": Converter(headed, ITEM, "text", ("word+", "column*"), none=True),
    "otherwise": Converter(otherwise, ANY, SAME, ("column+",), none=True),
    "code": Converter(code, ANY, "code", ("word",), nested=True),
    "coding": Converter(coding, ANY, "Coding", ("coding",)),
    "address": Converter(address, ANY, "url", ("system",)),
    "canonical": Converter(canonical, ITEM, "canonical", ("system",)),
    "coded": Converter(coded, ITEM, "Coding", ("system",)),
    "ordinal": Converter(ordinal, ANY, "positiveInt", ("word",)),
    "only_digits": Converter(only_digits, ITEM, "text"),
    "named": Converter(named, frozenset({"Reference"}), "Reference", ("column",)),
    "pascal": Converter(pascal, TEXT, "string"),
    "div": Converter(div, TEXT, "xhtml"),
    "hexadecimal": Converter(hexadecimal, TEXT, "base64Binary", fails=True),
}
