"""Members of JSON columns: objects inside objects, snapshots of rows.  RFC 8259"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.mapping.convert_form import json_text
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


def leaves(value: Any) -> list[dict[str, Any]] | None:
    """Each word or number of a JSON object as `{line, amount}`: its path and value, and the money that it names."""
    return [_leaf(*each) for each in _walk(value, "") if each[1] not in (None, "")] or None


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value, 1)
        for name, each in pairs:
            yield from _walk(each, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _leaf(path: str, value: Any) -> dict[str, Any]:
    line = f"{path}: {value}" if isinstance(value, str) else f"{path}: {json_text(value)}"
    is_amount = folded(path).endswith(MONEY) and not isinstance(value, str | bool)
    return {"line": line, "amount": value} if is_amount else {"line": line}


MONEY = ("amount", "copay", "deductible", "max")
JSON = frozenset({"json", "item"})
CONVERTERS = {
    "object": Converter(json_object, JSON, "json", ("word?",), fails=True, nested=True),
    "texts": Converter(texts, JSON, LIST, fails=True, nested=True),
    "words": Converter(words, JSON, "text", nested=True),
    "leaves": Converter(leaves, JSON, LIST, nested=True),
    "without": Converter(without, JSON, "json", ("value+",), nested=True),
}
