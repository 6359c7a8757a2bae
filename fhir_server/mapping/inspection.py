"""What a source is made of, looked at and not mapped: its columns, and which values a column has."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, column, func, inspect, select
from sqlalchemy.types import TypeEngine

from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.source import Source
from fhir_server.mapping.tenancy import named


def columns(source: Source, table: str) -> dict[str, dict[str, Any]]:
    """Each column of a table: its type as the database says it and as Python has it, and whether it may be null."""
    return {
        str(each["name"]): {
            "type": str(each["type"]),
            "python": _python_type(each["type"]),
            "nullable": bool(each["nullable"]),
        }
        for each in inspect(source.place.structure).get_columns(table)
    }


def _python_type(kind: TypeEngine[Any]) -> str:
    """Empty where SQLAlchemy knows none."""
    try:
        return kind.python_type.__name__
    except NotImplementedError:
        return ""


def distinct(source: Source, mapping: TableMapping, name: str, tenant: str | None, most: int) -> list[Any]:
    """The values that a column has, at most so many; null is none."""
    value: ColumnElement[Any] = column(name)
    wanted = select(value).select_from(named(mapping.table)).distinct().limit(most)
    wanted = wanted.where(source.tenancy.rows(mapping, tenant), value.is_not(None))
    with source.engine.connect() as connection:
        return [found for (found,) in connection.execute(wanted)]


def frequencies(source: Source, mapping: TableMapping, name: str, tenant: str | None) -> list[tuple[Any, int]]:
    """The values that a column has with how many rows have each, most frequent first."""
    value: ColumnElement[Any] = column(name)
    count = func.count()
    wanted = select(value, count).select_from(named(mapping.table)).group_by(value).order_by(count.desc(), value)
    wanted = wanted.where(source.tenancy.rows(mapping, tenant), value.is_not(None))
    with source.engine.connect() as connection:
        return [(found, int(rows)) for found, rows in connection.execute(wanted)]
