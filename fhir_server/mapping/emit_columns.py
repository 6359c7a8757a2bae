"""Writes the Python that puts columns into variables: cleaned, decoded, of this row, a parent row or a list item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from fhir_server.mapping.grammar import Column, Pipe
from fhir_server.mapping.kinds import ITEM, POSITION, Scope, column_kind
from fhir_server.mapping.model import TableMapping, output_leaves
from fhir_server.mapping.writer import Writer

TEXTUAL = frozenset({"text", "time"})
EmitPipe = Callable[[Pipe, str, Scope], str]


class Share(Protocol):
    """What several outputs read, so that it is read once."""

    def is_repeated(self, what: Pipe | str) -> bool: ...

    def write(self, name: str, write: Callable[[], None]) -> bool: ...


def variable(column: Column) -> str:
    """The local variable of a column."""
    if column.name == POSITION or (column.name == ITEM and not column.field):
        return column.name
    return f"c_{column.name}__{column.field}" if column.field else f"c_{column.name}"


def attempt(writer: Writer, name: str, call: str, column: str, path: str) -> None:
    """A call that may fail: its fault is noted and leaves what it keeps."""
    with writer.block("try"):
        writer.line(f"{name} = {call}")
    with writer.block("except Fault as fault"):
        writer.line(f"{name} = noted(findings, fault, {column!r}, {path!r})")


def _coded(table: TableMapping) -> set[Column]:
    """The columns of text that maps translate: they hold the same words again and again."""
    pipes = [leaf.pipe for output in table.outputs for leaf in output_leaves(output)]
    return {pipe.column for pipe in pipes if pipe.steps and pipe.steps[0].name == "map"}


class Columns:
    """The columns that one function reads, each loaded once."""

    def __init__(self, writer: Writer, table: TableMapping, scope: Scope, emit: EmitPipe, once: Share | None = None):
        self.writer, self.table, self.scope, self.emit = writer, table, scope, emit
        self.once = once
        self.coded = _coded(table)
        self.index = {name: at for at, name in enumerate(table.columns)}
        self.loaded: set[str] = set()

    def load(self, pipes: Iterable[Pipe]) -> None:
        """Puts every column that the pipes read, and that is not there yet, into a variable of its own."""
        for column in (each for pipe in pipes for each in pipe.columns()):
            if column.name not in (ITEM, POSITION):
                self._load(column)

    def _load(self, column: Column) -> None:
        name = variable(column)
        if name in self.loaded:
            return
        if self.once and self.once.is_repeated(name) and (not column.field or column.name in self.table.parents):
            before = {*self.loaded}
            if not self.once.write(name, lambda: self._write(name, column)):
                self.loaded = before  # What else was loaded stands inside a condition.
        else:
            self._write(name, column)
        self.loaded.add(name)

    def _write(self, name: str, column: Column) -> None:
        if column.name in self.table.parents:
            self._parent(name, column)
        elif column.field:
            self._load(Column(column.name))
            self.writer.line(f"{name} = field({variable(Column(column.name))}, {column.field!r})")
        elif column.name in self.table.columns:
            kind = column_kind(column, self.scope)
            self._read(column, f"row[{self.index[column.name]}]", kind)
            if kind == "json":
                attempt(self.writer, name, f"json_value({name})", column.name, column.name)
        elif column.name in self.table.decode:
            leaf = self.table.decode[column.name]
            self.load([leaf.pipe])
            self.writer.line(f"{name} = {self.emit(leaf.pipe, column.name, self.scope)}")
        else:
            self.writer.line(f"{name} = related[{column.name!r}] or None")

    def _parent(self, name: str, column: Column) -> None:
        row = f"parent_{column.name}"
        if row not in self.loaded:
            self.loaded.add(row)
            self.writer.line(f"{row} = related[{column.name!r}]")
        with self.writer.block(f"if {row} is None"):
            self.writer.line(f"{name} = None")
        with self.writer.block("else"):
            self._read(column, f"{row}[{column.field!r}]", column_kind(column, self.scope))

    def items(self, pipes: Iterable[Pipe], scope: Scope) -> set[str]:
        """The fields of a list item that the body of a loop reads; the variables of those that are text."""
        texts = set()
        for name in sorted(
            {each.field for pipe in pipes for each in pipe.columns() if each.name == ITEM and each.field}
        ):
            column = Column(ITEM, name)
            if scope.item_rows is None:
                self.writer.line(f"{variable(column)} = field({ITEM}, {name!r})")
            else:
                kind = column_kind(column, scope)
                self._read(column, f"{ITEM}[{name!r}]", kind)
                texts |= {variable(column)} if kind in TEXTUAL else set()
        return texts

    def _read(self, column: Column, raw: str, kind: str) -> None:
        """Text is cleaned; some databases keep text in any column, and an empty one says nothing."""
        name = variable(column)
        self.writer.line(f"{name} = {raw}")
        if column in self.coded and kind in TEXTUAL:
            self.writer.line(f"{name} = VOCABULARY[{name}] if {name}.__class__ is str else text({name})")
        elif kind in TEXTUAL:
            with self.writer.block(f"if {name} is not None"):
                self.writer.line(f"{name} = text({name})")
        elif kind != "blob":
            with self.writer.block(f"if {name}.__class__ is str"):
                self.writer.line(f"{name} = text({name})")
