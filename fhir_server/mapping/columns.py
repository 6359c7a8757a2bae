"""Columns of a source as its driver gives them: what a column type promises, legacy rows do not keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Dialect, column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType

UTC_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d+)?\+00:00\Z")


def _untyped(value: Any) -> Any:
    """PostgreSQL takes a text without a type for whatever the column is, and refuses a number where it is a text."""
    return value if value is None or isinstance(value, bytes) else str(value)


def _without_zone(value: Any) -> Any:
    """MariaDB reads moments in the zone of the session, which is UTC, and takes no offset."""
    return value.removesuffix("+00:00") if isinstance(value, str) and UTC_MOMENT.match(value) else value


BOUND: Mapping[str, Callable[[Any], Any]] = {
    "postgresql": _untyped,
    "mysql": _without_zone,
    "mariadb": _without_zone,
}


class Raw(UserDefinedType[Any]):
    """No type: values come as they are, and what they are compared with goes as the database can take it."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return BOUND.get(dialect.name)


RAW = Raw()


def raw(name: str, table: Any = None) -> ColumnElement[Any]:
    """A column, where need be of one of several tables."""
    found: ColumnElement[Any] = column(name, RAW, _selectable=table)
    return found


class ascending(FunctionElement[Any]):
    """An order in which what is not said comes first, as in most databases."""

    name = "ascending"
    inherit_cache = True
    type = RAW


@compiles(ascending)
def _ascending(element: ascending, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(ascending, "postgresql")
@compiles(ascending, "oracle")
def _ascending_where_none_is_last(element: ascending, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)} NULLS FIRST"
