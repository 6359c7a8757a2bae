"""Lists: out of a text, a JSON column, or the rows that share one resource."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_number import cents, decimal
from fhir_server.mapping.converter import LIST, ROWS, TEXT, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import folded, text

Row = dict[str, Any]


def json_value(value: Any) -> Any:
    """A JSON column: decoded once a row, by the driver or here."""
    if not isinstance(value, str | bytes):
        return value
    try:
        return msgspec.json.decode(value) if value.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Fault("JSON_INVALID", "The column does not hold JSON.") from fault


def field(value: Any, name: str) -> Any:
    """A member of a JSON object; text is cleaned."""
    found = value.get(name) if isinstance(value, dict) else None
    return text(found) if isinstance(found, str) else found


def member_of(value: Any, name: str | None) -> str | None:
    """The text of a column, or of a member of a JSON column."""
    if name is None:
        return text(value)
    try:
        found = field(json_value(value), name)
    except Fault:
        return None
    return None if isinstance(found, dict | list) else text(found)


def listed(value: Any) -> list[Any] | None:
    """The entries of a JSON array, without the empty ones and without repeats."""
    if not isinstance(value, list):
        raise Fault("JSON_INVALID", "The column holds no JSON array.")
    return _distinct(text(each) if isinstance(each, str) else each for each in value)


def entries(value: Any) -> list[Row] | None:
    """The members of a JSON object as `{key, …}`: the hours of each day of a week."""
    if not isinstance(value, dict):
        raise Fault("JSON_INVALID", "The column holds no JSON object.")
    return [{**each, "key": key} for key, each in value.items() if isinstance(each, dict)] or None


def lines(value: str) -> list[str] | None:
    return _distinct(text(each) for each in value.splitlines())


def split(value: str) -> list[str] | None:
    """The parts of a text between commas, semicolons and line ends."""
    return _distinct(text(each) for each in re.split(r"[,;\n]+", value))


def _distinct(values: Any) -> list[Any] | None:
    """Without the empty ones and what was there before, in order."""
    found: dict[str, Any] = {}
    for each in values:
        if each is not None:
            found.setdefault(folded(each) if isinstance(each, str) else repr(each), each)
    return list(found.values()) or None


def having(rows: Sequence[Row], name: str, values: Words) -> list[Row] | None:
    """The rows whose column has one of these values."""
    return [row for row in rows if row[name] is not None and folded(row[name]) in values] or None


def apart_from(rows: Sequence[Row], name: str, values: Words) -> list[Row] | None:
    """The rows whose column has none of these values."""
    return [row for row in rows if row[name] is None or folded(row[name]) not in values] or None


def gather(rows: Sequence[Row], name: str) -> list[Any] | None:
    """The entries of a JSON array column over all rows."""
    found: list[Any] = []
    for row in rows:
        try:
            value = json_value(row[name])
        except Fault:
            continue
        found.extend(value if isinstance(value, list) else [])
    return _distinct(text(each) for each in found if isinstance(each, str))


def total(rows: Sequence[Row], name: str, context: Context) -> dict[str, Any] | None:
    """The sum of an amount over rows, as Money."""
    amounts = [decimal(row[name]) for row in rows if row[name] is not None]
    found = [each for each in amounts if each is not None]
    return {"value": cents(sum(found, Decimal(0))), "currency": context.currency} if found else None


def latest(rows: Sequence[Row], name: str) -> Any:
    """What the last of the rows has in a column."""
    found = rows[-1][name] if rows else None
    return text(found) if isinstance(found, str) else found


JSON = frozenset({"json", "item"})
CONVERTERS = {
    "listed": Converter(listed, JSON, LIST, fails=True, nested=True),
    "entries": Converter(entries, JSON, LIST, fails=True, nested=True),
    "lines": Converter(lines, TEXT, LIST),
    "split": Converter(split, TEXT, LIST),
    "having": Converter(having, frozenset({ROWS}), ROWS, ("field", "value+")),
    "apart_from": Converter(apart_from, frozenset({ROWS}), ROWS, ("field", "value+")),
    "gather": Converter(gather, frozenset({ROWS}), LIST, ("field",)),
    "total": Converter(total, frozenset({ROWS}), "Money", ("field",), fails=True, context=True),
    "latest": Converter(latest, frozenset({ROWS}), "item", ("field",)),
    "json": Converter(json_value, TEXT, "json", fails=True),
}
