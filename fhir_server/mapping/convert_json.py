"""Members of JSON columns: objects inside objects, snapshots of rows.  RFC 8259"""

from __future__ import annotations

from typing import Any

import msgspec

from fhir_server.mapping.converter import LIST, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import folded, text


def json_object(value: Any, instead: str | None = None) -> dict[str, Any] | None:
    """A JSON object; with `text` a text may stand in its place, and gives nothing."""
    if isinstance(value, dict):
        return value or None
    if isinstance(value, str) and instead == "text":
        return None
    raise Fault("JSON_INVALID", "The value is no JSON object.")


def texts(value: Any) -> list[str] | None:
    """The words and numbers of a JSON array as text, without the empty ones."""
    if not isinstance(value, list):
        raise Fault("JSON_INVALID", "The value is no JSON array.")
    found = [word for each in value if not isinstance(each, dict | list) and (word := text(each))]
    if any(isinstance(each, dict | list) for each in value):
        raise Fault("TYPE_INVALID", "An entry is an object or a list where a word belongs.", kept=found or None)
    return found or None


def words(value: Any) -> str | None:
    """A JSON text or number as text; nothing where the source has an object or a list in its place."""
    return None if isinstance(value, dict | list) else text(value)


def without(value: Any, names: Words) -> Any:
    """A JSON value without the members of these names, at any depth: secrets in snapshots of rows."""
    if isinstance(value, dict):
        return {name: without(each, names) for name, each in value.items() if folded(name) not in names}
    if isinstance(value, list):
        return [without(each, names) for each in value]
    return value


def json_text(value: Any) -> str:
    """A JSON value as text, its members in order of name: the same whatever database it was read from."""
    return msgspec.json.encode(value, order="sorted").decode()


JSON = frozenset({"json", "item"})
CONVERTERS = {
    "object": Converter(json_object, JSON, "json", ("word?",), fails=True, nested=True),
    "texts": Converter(texts, JSON, LIST, fails=True, nested=True),
    "words": Converter(words, JSON, "text", nested=True),
    "without": Converter(without, JSON, "json", ("value+",), nested=True),
    "json_text": Converter(json_text, JSON, "text", nested=True),
}
