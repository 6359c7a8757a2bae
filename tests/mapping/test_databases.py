"""The same rows in SQLite, PostgreSQL, MariaDB and files give the same resources, and nothing is written there."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from fhir_server.fhir import json as fhir_json
from fhir_server.mapping import migration
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.changes import Changes
from fhir_server.mapping.compile import compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.database import with_driver
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.rows import Rows
from fhir_server.mapping.source import Source, Span
from fhir_server.mapping.target import Target
from seed.systems import SYSTEMS
from tests.databases import running

PATIENTS = 8
PAGE = 20
SERVERS = ("postgresql", "mariadb")
FILES = ("csv", "jsonl")
Mapped = dict[str, list[Any]]


class Unknown:
    """No row is known yet."""

    async def states(self, *_: object) -> dict[tuple[str, str], dict[str, Any]]:
        return {}


def seeded(name: str, url: str) -> str:
    plain = with_driver(url).render_as_string(hide_password=False)
    SYSTEMS[name].write(plain, rows=PATIENTS, tenant=name, seed=3, strict=True, progress=lambda _, __: None)
    return url


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Each system in SQLite."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SYSTEMS:
        seeded(name, f"sqlite:///{folder / name}.db")
    return {name: folder / f"{name}.db" for name in SYSTEMS}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """Each system in a server that was started for it."""
    with running(request.param) as make:
        yield {name: seeded(name, make(name)) for name in SYSTEMS}


@cache
def declared(name: str) -> Catalogue:
    return migration.declared(name)


async def mapped(name: str, url: str) -> Mapped:
    """What every row of every table becomes: key, status, resources, findings."""
    source, found = Source(url), declared(name)
    try:
        source.expect(found.tables)
        assert [str(each) for table in found.in_order() for each in source.problems(table)] == []
        tenants = {each for table in found.in_order() for each in source.tenants(table)}
        whose = min(tenants) if tenants else None
        opening = migration.keys(found, [f"{key}={value}" for key, value in SYSTEMS[name].keys.items()])
        zone = ZoneInfo("America/New_York")
        context = Context(Identity(found.base, name), date(2025, 6, 30), zone, keys=opening, owner=whose)
        return {table.table: await _rows(compiled(table, found), source, context, whose) for table in found.in_order()}
    finally:
        source.close()


async def _rows(table: Any, source: Source, context: Context, whose: str | None) -> list[Any]:
    rows, after, found = Rows(table, source, Unknown(), context, whose), None, []  # type: ignore[arg-type]
    while page := source.page(table.table, whose, Span(after), PAGE):
        for each in await rows.outcomes(page):
            drafts = [(draft.output, fhir_json.encode(draft.resource)) for draft in each.drafts]
            found.append((each.key, each.status, drafts, [str(finding) for finding in each.findings]))
        after = table.key_values(page[-1])
    return found


def first_difference(found: Mapped, wanted: Mapped) -> Any:
    """Short enough to be shown: a report of all of it would take minutes."""
    for name, rows in wanted.items():
        differing = (pair for pair in zip_longest(found[name], rows) if pair[0] != pair[1])
        for pair in differing:
            return name, pair
    return None


@pytest.fixture(scope="module")
async def expected(samples: Mapping[str, Path]) -> Mapping[str, Mapped]:
    return {name: await mapped(name, f"sqlite:///{path}") for name, path in samples.items()}


@pytest.mark.parametrize("name", sorted(SYSTEMS))
async def test_a_server_gives_the_resources_of_sqlite(
    name: str, server: Mapping[str, str], expected: Mapping[str, Mapped], counted: Callable[[str, int], None]
) -> None:
    found = await mapped(name, server[name])
    assert first_difference(found, expected[name]) is None
    counted("rows mapped alike from different databases", sum(map(len, found.values())))


def _exported(path: Path, folder: Path, kind: str) -> None:
    """The tables as files, as an export tool of the database would write them."""
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            source = Source(f"sqlite:///{path}")
            read = source._reader(name, source.place.types(name))
            source.close()
            rows = [read(row) for row in connection.execute(f'SELECT * FROM "{name}"')]
            WRITERS[kind](folder / name, list(read_names(connection, name)), rows[::-1])


def read_names(connection: sqlite3.Connection, name: str) -> Iterator[str]:
    yield from (each[1] for each in connection.execute(f'PRAGMA table_info("{name}")'))


def _csv(path: Path, names: list[str], rows: list[Any]) -> None:
    with path.with_suffix(".csv").open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(names)
        writer.writerows([rf"\x{value.hex()}" if isinstance(value, bytes) else value for value in row] for row in rows)


def _jsonl(path: Path, names: list[str], rows: list[Any]) -> None:
    with gzip.open(path.with_name(f"{path.name}.jsonl.gz"), "wt", encoding="utf-8") as stream:
        for row in rows:
            values = [rf"\x{value.hex()}" if isinstance(value, bytes) else value for value in row]
            stream.write(json.dumps(dict(zip(names, values, strict=True)), default=str) + "\n")


WRITERS = {"csv": _csv, "jsonl": _jsonl}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", sorted(SYSTEMS))
async def test_files_give_the_resources_of_sqlite(
    name: str, kind: str, samples: Mapping[str, Path], expected: Mapping[str, Mapped], tmp_path: Path
) -> None:
    """Also where the rows lie in another order."""
    _exported(samples[name], tmp_path, kind)
    assert first_difference(await mapped(name, f"{kind}://{tmp_path}"), expected[name]) is None


@pytest.fixture(scope="module")
def large(server: Mapping[str, str]) -> str:
    """The practice with 10,000 clients more, written by the database itself."""
    url, kind = server["pms"], with_driver(server["pms"]).get_backend_name()
    numbers = {
        "postgresql": "generate_series(1001, 11000) AS n",
        "mariadb": "(SELECT seq AS n FROM seq_1001_to_11000) AS n",
    }
    engine = create_engine(with_driver(url))
    with engine.begin() as connection:
        chosen = f"SELECT n, 'pms', 'Many' FROM {numbers[kind]}"
        connection.execute(text(f"INSERT INTO clients (id, tenant_id, last_name) {chosen}"))
        connection.execute(text("ANALYZE clients" if kind == "postgresql" else "ANALYZE TABLE clients"))
    engine.dispose()
    return url


def test_nothing_can_be_written_through_the_connections_of_a_source(server: Mapping[str, str]) -> None:
    source = Source(server["pms"])
    with source.engine.connect() as connection, pytest.raises(SQLAlchemyError, match=r"(?i)read.only"):
        connection.execute(text("DELETE FROM clients"))
    with source.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM clients")).scalar_one() >= PATIENTS
    source.close()


def test_nothing_can_be_written_into_sqlite(samples: Mapping[str, Path]) -> None:
    source = Source(f"sqlite:///{samples['pms']}")
    with source.engine.connect() as connection, pytest.raises(SQLAlchemyError, match="readonly"):
        connection.execute(text("DELETE FROM clients"))
    source.close()


def test_a_large_table_is_read_page_by_page_along_its_key(large: str) -> None:
    """No page holds more rows than asked for, none is sorted, and all of them come once."""
    source, table, fetched, statements = Source(large), declared("pms").tables["clients"], [], []
    source.expect(declared("pms").tables)

    @event.listens_for(source.engine, "before_cursor_execute")
    def noted(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        statements.append((statement, parameters))

    after = None
    while page := source.page(table, "pms", Span(after), 1000):
        fetched.append(len(page))
        after = page[-1][:1]
    assert sum(fetched) == 10_000 + PATIENTS
    assert max(fetched) == 1000
    with source.engine.connect() as connection:
        explained = connection.exec_driver_sql(f"EXPLAIN {statements[1][0]}", statements[1][1])
        plan = " ".join(str(value) for row in explained for value in row)
    source.close()
    assert not re.search(r"\bSort\b|filesort", plan), plan


def changed(name: str, table: str, url: str) -> list[Any]:
    """The keys of the rows that a second look reads."""
    source, found = Source(url), declared(name)
    try:
        source.expect(found.tables)
        mapping = found.tables[table]
        changes = Changes(source, found.tables, datetime.now(UTC), ZoneInfo("UTC"), timedelta(days=300))
        marks = changes.marks(mapping)
        assert marks is not None
        rows = source.page(mapping, None, Span(where=changes.where(mapping, marks)), 500)
        return [compiled(mapping, found).key(row) for row in rows]
    finally:
        source.close()


@pytest.mark.parametrize(("name", "table"), [("emr", "patients"), ("ivr", "ivr_requests"), ("mk", "medications")])
def test_the_changes_of_a_server_are_those_of_sqlite(
    name: str, table: str, server: Mapping[str, str], samples: Mapping[str, Path]
) -> None:
    """Moments are compared as the database keeps them, with a zone and without."""
    found = changed(name, table, server[name])
    assert found
    assert found == changed(name, table, f"sqlite:///{samples[name]}")


@pytest.mark.parametrize(
    ("name", "table", "column"), [("pms", "clients", "phone_home"), ("emr", "patients", "phone_primary")]
)
def test_a_row_is_written_back_as_long_as_it_is_as_it_was_read(
    name: str, table: str, column: str, server: Mapping[str, str]
) -> None:
    source, target, mapping = Source(server[name]), Target(server[name]), declared(name).tables[table]
    source.expect(declared(name).tables)
    seen = dict(zip(mapping.columns, source.page(mapping, None, Span(), 1)[0], strict=True))
    check = mapping.watermark[0]
    assert target.update(mapping, seen, {column: "951-555-0199"}, check)
    assert not target.update(mapping, seen, {column: "951-555-0100"}, check)
    assert not target.update(mapping, {**seen, check: "2001-01-01 00:00:00"}, {column: "951-555-0100"}, check)
    again = dict(zip(mapping.columns, source.page(mapping, None, Span(), 1)[0], strict=True))
    assert again == {**seen, column: "951-555-0199"}
    source.close()
    target.close()
