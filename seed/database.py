"""Writes the tables of a sample system to any database that SQLAlchemy knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Connection, DateTime, Dialect, Float, MetaData, Table, create_engine, insert, make_url
from sqlalchemy import column as bare_column
from sqlalchemy import table as bare_table
from sqlalchemy.dialects import mysql

from seed.practice import Row

BATCH = 2_000
MYSQL = ("mysql", "mariadb")
MOMENT = DateTime(timezone=True).with_variant(mysql.TIMESTAMP(), *MYSQL)
"""A moment, not what a clock showed: MySQL has a type of its own for it."""
MEASURE = Float().with_variant(mysql.DOUBLE(), *MYSQL)
"""As exact as a Float is elsewhere."""
Progress = Callable[[str, int], None]


def is_strict(url: str) -> bool:
    """Whether the database checks its column types: then dates cannot be dirty."""
    return make_url(url).get_backend_name() != "sqlite"


def written(
    url: str, metadata: MetaData, tables: Iterable[tuple[Table, Iterable[Row]]], progress: Progress, *, strict: bool
) -> dict[str, int]:
    """Replaces the tables and says how many rows each has; a strict database takes no JSON that is none."""
    engine = create_engine(url)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        if engine.dialect.name in MYSQL:
            connection.exec_driver_sql("SET time_zone = '+00:00'")
        counts = {
            table.name: _written(connection, table, _sound(table, rows, engine.dialect) if strict else rows, progress)
            for table, rows in tables
        }
    engine.dispose()
    return counts


def _written(connection: Connection, table: Table, rows: Iterable[Row], progress: Progress) -> int:
    """Values go in as they are: SQLAlchemy would refuse the dates that are none."""
    names = [each.name for each in table.columns]
    into = insert(bare_table(table.name, *map(bare_column, names)))
    moments = [each.name for each in table.columns if each.type is MOMENT and connection.dialect.name in MYSQL]
    count, left = 0, iter(rows)
    while batch := list(islice(left, BATCH)):
        values = [{name: row.get(name) for name in names} for row in batch]
        connection.execute(into, [_without_zone(each, moments) for each in values] if moments else values)
        count += len(batch)
        progress(table.name, count)
    return count


def _sound(table: Table, rows: Iterable[Row], dialect: Dialect) -> Iterable[Row]:
    names = [each.name for each in table.columns if isinstance(each.type.dialect_impl(dialect), JSON)]
    return ({**row, **{name: None for name in names if not _is_json(row.get(name))}} for row in rows)


def _is_json(value: Any) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    except TypeError:
        return True
    return True


def _without_zone(row: Row, names: Iterable[str]) -> Row:
    """MariaDB takes moments in the zone of the session, which is UTC, and without an offset."""
    return row | {name: row[name].removesuffix("+00:00") for name in names if row[name] is not None}
