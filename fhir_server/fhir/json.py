"""JSON in and out: decimals keep their digits, and what no FHIR system could mean is refused at the edge.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from fhir_server.fhir.outcome import FhirError, error
from fhir_server.fhir.resource import Resource

MAX_DIGITS = 34
"""Significant digits of a decimal: what IEEE 754 decimal128 holds; FHIR asks for 18."""

MAX_EXPONENT = 308
"""The range of a double, so that every system we talk to can read the number."""

MAX_DEPTH = 64
"""Levels of nesting, of objects and arrays together."""

BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")
ESCAPED_CONTROL = re.compile(rb"\\(?:[bf]|u00[01])")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""What XML cannot carry either. https://hl7.org/fhir/R4/datatypes.html#string"""


def decimal(text: str) -> Decimal:
    """A number with its digits; FhirError where no other system could read it."""
    number = Decimal(text)
    if len(text) > MAX_DIGITS or "e" in text or "E" in text:
        _refuse_unusable(number, text)
    return number


def _refuse_unusable(number: Decimal, text: str) -> None:
    if number and abs(number.adjusted()) > MAX_EXPONENT:
        raise error("value", f"The number {text[:40]} is out of range: the exponent may be at most {MAX_EXPONENT}.")
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise error("value", f"The number {text[:40]}… has more than {MAX_DIGITS} digits.")


_client = msgspec.json.Decoder(float_hook=decimal)
_stored = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

encode = _encoder.encode
"""Compact UTF-8 in the order of the dict, decimals as numbers with the digits they came with."""


def trusted(raw: bytes) -> Any:
    """What we stored ourselves: decoded without the checks for what clients send."""
    return _stored.decode(raw)


def pretty(raw: bytes) -> bytes:
    """The same JSON with an indentation of two; numbers and strings stay as they are written."""
    return msgspec.json.format(raw, indent=2)


def parse(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Resource:
    """What a client sent, as a resource; FhirError where it is not one well-formed and unambiguous JSON object."""
    value = _parsed(raw, max_depth)
    if not isinstance(value, dict):
        raise error("structure", f"The body must be a JSON object, not {_kind(value)}.")
    return value


def parse_array(raw: bytes, *, max_depth: int = MAX_DEPTH) -> list[Any]:
    """As `parse`, for what is an array: a JSON Patch."""
    value = _parsed(raw, max_depth)
    if not isinstance(value, list):
        raise error("structure", f"The body must be a JSON array, not {_kind(value)}.")
    return value


def _parsed(raw: bytes, max_depth: int) -> Any:
    try:
        value = _client.decode(raw)
        encoded = encode(value)
        if msgspec.json.format(raw, indent=-1) != encoded:
            _refuse_repeated_names(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise _diagnosis(raw, problem, max_depth) from None
    refuse_depth(encoded, max_depth)
    _refuse_controls(raw, value)
    return value


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def refuse_depth(encoded: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Depth shows as indentation: strings hold no line ends, so nothing else looks like it."""
    if b"\n" + b" " * (max_depth + 1) in msgspec.json.format(encoded, indent=1):
        raise _too_deep(max_depth)


def _too_deep(max_depth: int) -> FhirError:
    return error("structure", f"The JSON is nested more than {max_depth} levels deep.")


def _refuse_repeated_names(raw: bytes) -> None:
    """Slower than the decoder, so only for text that is not already written as we would write it."""
    json.loads(raw, object_pairs_hook=_unique, parse_int=str, parse_float=str)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise error("structure", f"The property '{repeated[:80]}' stands more than once in one object.")
    return members


def _refuse_controls(raw: bytes, value: Any) -> None:
    """Only escaped ones can get this far. Those above U+007F stay: published resources have them."""
    if b"\\" in raw and ESCAPED_CONTROL.search(raw):
        for path, text in _strings(value, ""):
            if control := CONTROL.search(text):
                raise _control(path, control.group())


def _control(path: str, character: str) -> FhirError:
    place = f"'{path}'" if path else "A property name"
    return error("value", f"{place} has the control character U+{ord(character):04X}.", expression=path or None)


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string with its place; a name counts as a string of the object that holds it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _strings(each, f"{path}[{index}]")
    elif isinstance(value, dict):
        start = f"{path}." if path else f"{value.get('resourceType', '')}.".lstrip(".")
        for name, each in value.items():
            yield path, name
            yield from _strings(each, f"{start}{name}")


def _diagnosis(raw: bytes, problem: Exception, max_depth: int) -> FhirError:
    """Why the body is not JSON that we take, in words."""
    if isinstance(problem, RecursionError):
        return _too_deep(max_depth)
    if not raw.strip():
        return error("structure", "The body is empty; a JSON object is needed.")
    if raw.startswith(BYTE_ORDER_MARKS) or b"\x00" in raw[:4]:
        return error("structure", "The body must be UTF-8 without a byte order mark.")
    if isinstance(problem, UnicodeDecodeError):
        return error("structure", f"The body is not UTF-8: {problem.reason} at byte {problem.start} of a string.")
    return _unusable_value(raw) or error("structure", f"The body is not valid JSON: {problem}.")


def _unusable_value(raw: bytes) -> FhirError | None:
    """What a lenient reader accepts and JSON or FHIR does not: NaN, surrogates on their own, integers without end."""
    seen: list[str] = []
    try:
        value = json.loads(raw, parse_constant=seen.append, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return None
    if seen:
        return error("value", f"{seen[0]} is not a number that JSON can express.")
    for path, text in _strings(value, ""):
        if any("\ud800" <= each <= "\udfff" for each in text):
            return error("value", f"'{path}' has half of a surrogate pair.", expression=path or None)
    return error("value", "The body has a number that is out of range.")
