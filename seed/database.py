"""Writes the tables of a sample system to any database that SQLAlchemy knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from sqlalchemy import Connection, MetaData, Table, create_engine, insert, make_url
from sqlalchemy import column as bare_column
from sqlalchemy import table as bare_table

from seed.practice import Row

BATCH = 2_000
Progress = Callable[[str, int], None]


def is_strict(url: str) -> bool:
    """Whether the database checks its column types: then dates cannot be dirty."""
    return make_url(url).get_backend_name() != "sqlite"


def written(
    url: str, metadata: MetaData, tables: Iterable[tuple[Table, Iterable[Row]]], progress: Progress
) -> dict[str, int]:
    """Replaces the tables and says how many rows each has."""
    engine = create_engine(url)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        counts = {table.name: _written(connection, table, rows, progress) for table, rows in tables}
    engine.dispose()
    return counts


def _written(connection: Connection, table: Table, rows: Iterable[Row], progress: Progress) -> int:
    """Values go in as they are: SQLAlchemy would refuse the dates that are none."""
    names = [each.name for each in table.columns]
    into = insert(bare_table(table.name, *map(bare_column, names)))
    count, left = 0, iter(rows)
    while batch := list(islice(left, BATCH)):
        connection.execute(into, [{name: row.get(name) for name in names} for row in batch])
        count += len(batch)
        progress(table.name, count)
    return count
