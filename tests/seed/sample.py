"""What is asked of a sample database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def check_foreign_key(path: Path, table: str, column: str, parent: str) -> None:
    """Some rows point to the parent table, and none of them in vain."""
    pointing = f"SELECT 1 FROM {table} WHERE {column} NOT NULL"
    assert rows(path, pointing)
    assert rows(path, f"{pointing} AND {column} NOT IN (SELECT id FROM {parent})") == []
