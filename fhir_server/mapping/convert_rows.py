"""What the rows of another table say about a value of this one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_secret import decrypt
from fhir_server.mapping.converter import ITEM, ROWS, SAME, TEXT, Converter
from fhir_server.mapping.text import normalised

Rows = Sequence[dict[str, Any]]


def unsealed(value: str, register: Rows | None, table: str, name: str, key_class: str, context: Context) -> str | None:
    """The clear text of a value that a register of encrypted values names by table and column; any other as it is."""
    is_sealed = any(row["table_name"] == table and row["field_name"] == name for row in register or ())
    return decrypt(value, key_class, context) if is_sealed else value


def matching(value: Any, rows: Rows | None, by: str, wanted: str) -> Any:
    """A column of the first row that has the same word in another column."""
    return next((row[wanted] for row in rows or () if _same(row[by], value)), None)


def unlisted(value: Any, rows: Rows | None, by: str) -> Any:
    """The value, unless one of the rows has it."""
    return None if any(_same(row[by], value) for row in rows or ()) else value


def lacking(rows: Rows, others: Rows | None, by: str, key: str) -> Rows | None:
    """The rows that none of the other rows points to."""
    pointed = {str(row[by]) for row in others or ()}
    return [row for row in rows if str(row[key]) not in pointed] or None


def _same(one: Any, other: Any) -> bool:
    return one is not None and normalised(str(one)) == normalised(str(other))


CONVERTERS = {
    "unsealed": Converter(unsealed, TEXT, "text", ("column", "word", "word", "word"), fails=True, context=True),
    "matching": Converter(matching, ITEM, "item", ("column", "word", "word")),
    "unlisted": Converter(unlisted, ITEM, SAME, ("column", "word")),
    "lacking": Converter(lacking, frozenset({ROWS}), ROWS, ("column", "word", "word")),
}
