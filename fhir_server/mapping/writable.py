"""What may go back: `mappings/<source>/writeback.yaml`, the columns that changes of a resource are written into.

A page of its own, so that translating rows and writing them are decided separately.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fhir_server.mapping import document
from fhir_server.mapping.document import Node, table, text, texts
from fhir_server.mapping.grammar import column
from fhir_server.mapping.problem import refuse, suggestion

FILE = "writeback.yaml"
PARTS = frozenset({"output", "elements", "check", "columns"})


@dataclass(frozen=True, slots=True)
class Writable:
    """One table: which elements of which output go back into which columns."""

    table: str
    output: str
    elements: tuple[str, ...]
    check: str
    """The column that tells whether the row was changed meanwhile; a time is set to that of the writing."""
    columns: tuple[str, ...]
    line: int


def read(raw: str, file: str) -> Mapping[str, Writable]:
    """By table."""
    return {each.table: each for each in _tables(document.read(raw, file), file)}


def _tables(whole: document.Table, file: str) -> Iterator[Writable]:
    for name, found in whole.entries.items():
        part = table(found, file, name)
        for each in part.entries:
            if each not in PARTS:
                raise refuse(file, part.lines[each], f"'{each}' is no part of write-back.{suggestion(each, PARTS)}")
        missing = sorted(PARTS - part.entries.keys())
        if missing:
            raise refuse(file, part.line, f"'{name}' lacks {', '.join(missing)}.")
        yield Writable(
            name,
            text(part.entries["output"], file, "output"),
            texts(part.entries["elements"], file, "elements"),
            _column(part.entries["check"], file),
            texts(part.entries["columns"], file, "columns"),
            part.line,
        )


def _column(found: Node, file: str) -> str:
    written = text(found, file, "check")
    try:
        return column(written).name
    except ValueError as fault:
        raise refuse(file, found.line, str(fault)) from fault
