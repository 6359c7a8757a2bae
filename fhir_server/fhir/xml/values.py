"""Values of primitives as the text of an attribute, both ways.  https://hl7.org/fhir/R4/datatypes.html#primitive"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_server.fhir import json
from fhir_server.fhir.primitives import INTEGERS

BOOLEANS = {"true": True, "false": False}
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"0|[-+]?[1-9][0-9]*")

MARKUP = re.compile('[&<>"\x00-\x1f\ufffe\uffff]')
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ESCAPES = str.maketrans(
    dict.fromkeys([*map(chr, range(32)), "\ufffe", "\uffff"], REPLACEMENT)
    | {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
"""Line ends and tabs would become spaces in an attribute; a few characters of JSON cannot stand in XML at all."""


def escaped(text: str) -> str:
    return text.translate(ESCAPES) if MARKUP.search(text) else text


def written(value: Any) -> str:
    """A decimal with the digits that it came with."""
    if isinstance(value, str):
        return escaped(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def seen(text: str) -> str:
    """What was sent, cut to a length that fits a sentence."""
    return text if len(text) <= 60 else f"{text[:60]}…"


def read(type_name: str, text: str) -> Any:
    """The value as JSON would have it; None where the text is none of the type."""
    return _READERS[type_name](text) if type_name in _READERS else text


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= json.MAX_DIGITS and INTEGER.fullmatch(text) else None


def _decimal(text: str) -> int | Decimal | None:
    """Without a fraction it is an integer, as in JSON."""
    if not DECIMAL.fullmatch(text):
        return None
    if text.lstrip("-").isdigit():
        return int(text) if len(text) <= json.MAX_DIGITS else None
    return json.decimal(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "boolean": BOOLEANS.get,
    "decimal": _decimal,
    **dict.fromkeys(INTEGERS, _integer),
}
