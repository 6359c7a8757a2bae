"""A legacy database as SQLAlchemy opens it, so that nothing can be written and values come as they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.types import TypeEngine

from fhir_server.mapping.model import TableMapping

DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql", "mssql": "pymssql"}
"""The driver where a URL names none."""
EXTRAS = {"psycopg": "postgresql", "pymysql": "mysql", "pymssql": "sqlserver"}
READ_ONLY: Mapping[str, tuple[str, ...]] = {
    "sqlite": ("PRAGMA query_only = ON",),
    "postgresql": ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",),
    "mysql": ("SET SESSION TRANSACTION READ ONLY",),
    "mariadb": ("SET SESSION TRANSACTION READ ONLY",),
}
"""Where a database has no such thing, nothing is ever committed."""
IN_UTC: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("SET TIME ZONE 'UTC'", "SET DateStyle TO ISO"),
    "mysql": ("SET SESSION time_zone = '+00:00'",),
    "mariadb": ("SET SESSION time_zone = '+00:00'",),
}
"""Moments are spoken of in UTC."""
AS_WRITTEN = ("date", "timestamp", "timestamptz", "time", "timetz", "interval", "json", "jsonb", "uuid", "inet", "cidr")
"""Types of PostgreSQL that are read as text: not every date of theirs is one of Python, and JSON is decoded once."""
TIMES = ("DATE", "DATETIME", "TIMESTAMP", "TIME", "NEWDATE")


class SourceError(Exception):
    """The legacy data cannot be read; the message says what to put right."""


class Database:
    """Its tables and views, and connections that can only read."""

    def __init__(self, url: str):
        try:
            made = with_driver(url)
            self.engine = opened(made)
            self.structure = create_engine(_for_reading(made))
            self.types = cache(self._types)
            seen = inspect(self.structure)
            self.tables = {*seen.get_table_names(), *seen.get_view_names()}
        except (ArgumentError, NoSuchModuleError, ImportError) as fault:
            raise SourceError(f"The source cannot be opened: {lacking(fault)}") from fault
        except SQLAlchemyError as fault:
            raise SourceError(f"The source does not answer: {fault.__class__.__name__}.") from fault
        self.backend, self.name = made.get_backend_name(), str(made)

    def expect(self, tables: Mapping[str, TableMapping]) -> None:
        """A database knows of itself what is in it."""

    def close(self) -> None:
        self.engine.dispose()
        self.structure.dispose()

    def _types(self, name: str) -> Mapping[str, TypeEngine[Any]]:
        """The type of each column of a table."""
        return {str(each["name"]): each["type"] for each in inspect(self.structure).get_columns(name)}


def with_driver(url: str) -> URL:
    """The URL with the driver that there is an extra for, unless it names one."""
    made = make_url(url)
    driver = DRIVERS.get(made.drivername)
    return made.set(drivername=f"{made.drivername}+{driver}") if driver else made


def _for_reading(url: URL) -> URL:
    """SQLite would make a database where there is none."""
    path = url.database or ""
    if url.get_backend_name() != "sqlite" or path in ("", ":memory:") or path.startswith("file:"):
        return url
    if not Path(path).is_file():
        raise SourceError(f"There is no database {path}.")
    return url.set(database=f"file:{quote(path)}", query={**url.query, "mode": "ro", "uri": "true"})


def opened(url: URL, *, writes: bool = False) -> Engine:
    """Connections that can only read, unless told otherwise, and give values as they are written."""
    engine = create_engine(url if writes else _for_reading(url))
    backend = url.get_backend_name()
    begins = (*IN_UTC.get(backend, ()), *(() if writes else READ_ONLY.get(backend, ())))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for statement in begins:
            cursor.execute(statement)
        cursor.close()
        connection.commit()
        if engine.dialect.driver == "psycopg":
            loader = import_module("psycopg.types.string").TextLoader
            for name in AS_WRITTEN:
                connection.adapters.register_loader(name, loader)

    @event.listens_for(engine, "do_connect")
    def unconverted(_dialect: Any, _record: object, _args: object, options: dict[str, Any]) -> None:
        if engine.dialect.driver == "pymysql":
            types = import_module("pymysql.constants.FIELD_TYPE")
            known = import_module("pymysql.converters").conversions
            times = {getattr(types, name) for name in TIMES}
            options["conv"] = {key: each for key, each in known.items() if key not in times}

    return engine


def lacking(fault: Exception) -> str:
    """What to install, where a driver is not there."""
    extra = EXTRAS.get(str(getattr(fault, "name", "")).partition(".")[0])
    return f"its driver is missing; install fhir-server[{extra}]." if extra else str(fault)
