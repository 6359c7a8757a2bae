"""A folder of files as a source: each file is a table, brought into the order of its keys before a row is given out.

The order is that of an index in SQLite, in a temporary directory that only its owner can read and that goes with the
process; so the same queries answer as for a database, and memory does not grow with the files.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine, make_url
from sqlalchemy.types import NULLTYPE, TypeEngine

from fhir_server.mapping.convert_number import FLAGS
from fhir_server.mapping.database import SourceError, opened
from fhir_server.mapping.model import ColumnType, TableMapping
from fhir_server.mapping.records import Record, Table, dialect, tables
from fhir_server.mapping.text import folded

SCHEMES = ("csv", "jsonl")
AFFINITY = {"integer": "INTEGER", "boolean": "INTEGER", "text": "TEXT"}
"""All else is kept as it is written."""
BATCH = 2_000


def is_folder(url: str) -> bool:
    return urlsplit(url).scheme in SCHEMES or Path(url.partition("?")[0]).is_dir()


class Folder:
    """Files `<table>.csv` or `<table>.jsonl`, `.gz` or not: `csv:///path?delimiter=;`, or the path alone."""

    backend = "sqlite"

    def __init__(self, url: str):
        parts = urlsplit(url)
        place, _, query = url.partition("?")
        path = Path(unquote(parts.path) if parts.scheme in SCHEMES else place)
        if not path.is_dir():
            raise SourceError(f"There is no folder {path}.")
        self.name = str(path.resolve())
        self.files = tables(path, dialect(query))
        if not self.files:
            raise SourceError(f"{path} has no file of a table: <table>.csv or <table>.jsonl, .gz or not.")
        self.tables = set(self.files)
        self.types = cache(self._types)
        self._declared: Mapping[str, TableMapping] = {}
        self._sorted: Sorted | None = None
        self._once = threading.Lock()

    def expect(self, tables: Mapping[str, TableMapping]) -> None:
        """Makes known which columns are wanted, and of what type."""
        if tables is not self._declared:
            self.close()
            self._declared = tables

    @property
    def engine(self) -> Engine:
        """The tables in order, once somebody asks for rows."""
        with self._once:
            if self._sorted is None:
                self._sorted = Sorted(self.files, self._declared)
            return self._sorted.engine

    @property
    def structure(self) -> Engine:
        """What the tables are made of."""
        return self.engine

    def close(self) -> None:
        if self._sorted:
            self._sorted.close()
        self._sorted = None

    def _types(self, name: str) -> Mapping[str, TypeEngine[Any]]:
        """Files say which columns they have, not of what type."""
        return dict.fromkeys(self.files[name].columns(), NULLTYPE)


class Sorted:
    """The wanted columns of all files in a database of their own."""

    def __init__(self, files: Mapping[str, Table], declared: Mapping[str, TableMapping]):
        self.directory = tempfile.TemporaryDirectory(prefix="fhir-source-")
        path = Path(self.directory.name) / "rows.db"
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
                for name, columns in _wanted(declared).items():
                    _load(connection, name, columns, files.get(name), declared.get(name))
                for statement in sorted(set(_indexes(declared))):
                    connection.execute(statement)
            self.engine = opened(make_url(f"sqlite:///{path}"))
        except BaseException:
            self.directory.cleanup()
            raise

    def close(self) -> None:
        self.engine.dispose()
        self.directory.cleanup()


def _wanted(declared: Mapping[str, TableMapping]) -> dict[str, dict[str, ColumnType]]:
    """The columns of each table that a declaration speaks of; its own declaration knows their types best."""
    found: dict[str, dict[str, ColumnType]] = {}
    for mapping in declared.values():
        for related in mapping.related:
            by = mapping.columns.get(related.on.name, ColumnType("text", required=False, line=related.line))
            found.setdefault(related.table, {}).update({related.by: by, **related.columns})
    for name, mapping in declared.items():
        found.setdefault(name, {}).update(mapping.columns)
    return found


def _indexes(declared: Mapping[str, TableMapping]) -> Iterator[str]:
    for mapping in declared.values():
        for table, by in [(each.table, each.by) for each in mapping.related]:
            yield f"CREATE INDEX {_quoted(f'{table} by {by}')} ON {_quoted(table)} ({_quoted(by)})"
        for merge in mapping.merges.values():
            by, table = merge.by, mapping.table
            yield f"CREATE INDEX {_quoted(f'{table} by {by}')} ON {_quoted(table)} ({_quoted(by)})"


def _load(
    connection: sqlite3.Connection,
    name: str,
    columns: Mapping[str, ColumnType],
    file: Table | None,
    mapping: TableMapping | None,
) -> None:
    """A table without a file stays empty: that it is not there is told by the check of the schema."""
    typed = ", ".join(f"{_quoted(each)} {AFFINITY.get(kind.name, 'BLOB')}" for each, kind in columns.items())
    connection.execute(f"CREATE TABLE {_quoted(name)} ({typed})")
    if not file:
        return
    connection.execute("BEGIN")
    into = ", ".join(["rowid", *map(_quoted, columns)])
    marks = ", ".join("?" * (len(columns) + 1))
    connection.executemany(f"INSERT INTO {_quoted(name)} ({into}) VALUES ({marks})", _values(file, columns))  # noqa: S608
    connection.execute("COMMIT")
    if mapping:
        _check_keys(connection, mapping, file)


def _values(file: Table, columns: Mapping[str, ColumnType]) -> Iterator[tuple[Any, ...]]:
    kinds = [(name, kind.name) for name, kind in columns.items()]
    for line, record in file.records():
        yield line, *(_value(record, name, kind) for name, kind in kinds)


def _value(record: Record, name: str, kind: str) -> Any:
    value = record.get(name)
    if value is None:
        return None
    if kind == "boolean":
        flag = FLAGS.get(folded(value))
        return value if flag is None else int(flag)
    return _bytes(value) if kind == "blob" else value


def _bytes(value: Any) -> Any:
    """Hexadecimal digits after `\\x` or `0x`, else Base64; anything else as it is written."""
    try:
        if value[:2] in ("\\x", "0x"):
            return bytes.fromhex(value[2:])
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return value


def _check_keys(connection: sqlite3.Connection, mapping: TableMapping, file: Table) -> None:
    """Rows are read by their keys: each must have one of its own."""
    table, keys = _quoted(mapping.table), [_quoted(each) for each in mapping.key]
    missing = " OR ".join(f"{each} IS NULL" for each in keys)
    (line,) = connection.execute(f"SELECT min(rowid) FROM {table} WHERE {missing}").fetchone()  # noqa: S608
    if line:
        raise file.fault(line, f"the key {', '.join(mapping.key)} is missing.")
    listed = ", ".join(keys)
    again = f"SELECT max(rowid), {listed} FROM {table} GROUP BY {listed} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
    for line, *key in connection.execute(again):
        raise file.fault(line, f"the key {':'.join(map(str, key))} was there before.")
    connection.execute(f"CREATE UNIQUE INDEX {_quoted(f'{mapping.table} key')} ON {table} ({listed})")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
