"""What kind of value a column, and a pipe of converters, gives: the type check of declarations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fhir_server.mapping.convert import CONVERTERS
from fhir_server.mapping.converter import LIST, MAPPED, ROWS, SAME
from fhir_server.mapping.grammar import Column, Pipe, Step
from fhir_server.mapping.model import ColumnType, TableMapping
from fhir_server.mapping.problem import suggestion

Columns = Mapping[str, ColumnType]
ITEM = "item"
POSITION = "position"


class Misfit(ValueError):
    """A column or converter that does not exist or does not fit."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What `$names` mean at a place of a template; inside a loop `$item` is of `item_kind`, or a row of `item_rows`."""

    table: TableMapping
    item_kind: str | None = None
    item_rows: Columns | None = None

    def inside(self, items: Pipe) -> Scope:
        """The scope of the body of a loop over these items."""
        kind = pipe_kind(items, self)
        if kind == ROWS:
            return replace(self, item_kind=None, item_rows=self.rows(items.column))
        if kind != LIST:
            raise Misfit(f"'{items}' gives {kind}, not a list; split it or say which list it is.")
        return replace(self, item_kind=ITEM, item_rows=None)

    def rows(self, column: Column) -> Columns:
        """The columns of the rows of a list."""
        children = self.table.children.get(column.name)
        if children is None:
            return merged_columns(self.table)
        above = self.table.children.get(children.on.name) if children.on.field else None
        beside = {f"{above.name}_{name}": kind for name, kind in above.columns.items()} if above else {}
        return {**beside, **children.columns}


def merged_columns(table: TableMapping) -> Columns:
    """The columns of rows that are merged: their own, and those of their parents as `parent_column`."""
    parents = {
        f"{parent.name}_{name}": kind for parent in table.parents.values() for name, kind in parent.columns.items()
    }
    return {**parents, **table.columns}


def column_kind(column: Column, scope: Scope) -> str:
    """The kind of `$name` or `$name.field`."""
    table = scope.table
    if column.name in (ITEM, POSITION):
        return _loop_kind(column, scope)
    if column.name in table.parents:
        return _row_kind(column, table.parents[column.name].columns)
    if column.name in table.merges or column.name in table.children:
        return _whole(column, ROWS)
    if column.name in table.decode:
        kind = pipe_kind(table.decode[column.name].pipe, replace(scope, item_kind=None, item_rows=None))
        return ITEM if column.field else kind
    return _own_kind(column, table)


def _own_kind(column: Column, table: TableMapping) -> str:
    if column.name not in table.columns:
        known = [*table.columns, *table.parents, *table.merges, *table.children, *table.decode]
        raise Misfit(f"{table.name} has no column '{column.name}'.{suggestion(column.name, known)}")
    kind = table.columns[column.name].name
    if column.field and kind != "json":
        raise Misfit(f"'{column}' looks into a {kind} column; only JSON columns have fields.")
    return ITEM if column.field else kind


def _loop_kind(column: Column, scope: Scope) -> str:
    if scope.item_kind is None and scope.item_rows is None:
        raise Misfit(f"'{column}' has a meaning only below an 'each'.")
    if column.name == POSITION:
        return _whole(column, "positiveInt")
    if scope.item_rows is not None:
        return _row_kind(column, scope.item_rows)
    return ITEM


def _row_kind(column: Column, columns: Columns) -> str:
    if not column.field:
        raise Misfit(f"'{column}' is a row; say which of its columns, as in '{column}.name'.")
    if column.field not in columns:
        raise Misfit(f"'${column.name}' has no column '{column.field}'.{suggestion(column.field, columns)}")
    return columns[column.field].name


def _whole(column: Column, kind: str) -> str:
    if column.field:
        raise Misfit(f"'{column}': ${column.name} has no fields.")
    return kind


def pipe_kind(pipe: Pipe, scope: Scope) -> str:
    """The kind that comes out of the last converter."""
    kind = column_kind(pipe.column, scope)
    for step in pipe.steps:
        kind = _step_kind(step, kind)
    return kind


def _step_kind(step: Step, kind: str) -> str:
    if step.name not in CONVERTERS:
        raise Misfit(f"There is no converter '{step.name}'.{suggestion(step.name, CONVERTERS)}")
    converter = CONVERTERS[step.name]
    if "*" not in converter.takes and kind not in converter.takes:
        raise Misfit(f"'{step.name}' takes {', '.join(sorted(converter.takes))}, not {kind}.")
    return kind if converter.gives == SAME else converter.gives


def is_mapped(kind: str) -> bool:
    return kind == MAPPED


@dataclass(frozen=True, slots=True)
class Bound:
    """The arguments of a step, one for each kind of its converter: a value, a tuple for a repeating one, or None."""

    kind: str
    value: object


def bound(step: Step) -> tuple[Bound, ...]:
    """Fits the arguments of a step to the kinds that its converter declares."""
    kinds = CONVERTERS[step.name].args
    left = list(step.args)
    found = [_bind(kind, left, step) for kind in kinds]
    if left:
        raise Misfit(f"'{step}' has an argument too many: {left[0]}.")
    return tuple(found)


def _bind(kind: str, left: list[Column | str], step: Step) -> Bound:
    name, mark = kind.rstrip("?*+"), kind[-1] if kind[-1] in "?*+" else ""
    if mark in ("*", "+"):
        count = sum(1 for each in left if isinstance(each, Column) == (name == "column"))
        taken = tuple(left.pop(0) for _ in range(count))
        if not taken and mark == "+":
            raise Misfit(f"'{step}' lacks an argument: {name}.")
        return Bound(name, taken)
    fits = bool(left) and isinstance(left[0], Column) == (name == "column")
    if not fits and mark != "?":
        raise Misfit(f"'{step}' lacks an argument: {name}{'' if not left else f', not {left[0]}'}.")
    return Bound(name, left.pop(0) if fits else None)
