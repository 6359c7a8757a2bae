"""Legacy tables, read through SQLAlchemy: their schema, their rows in key order, and the rows that belong to them.

Whatever they are kept in, the same rows come with the same values and in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Engine, and_, column, false, func, not_, or_, select
from sqlalchemy.types import NULLTYPE

from fhir_server.mapping.columns import raw
from fhir_server.mapping.convert_list import member_of
from fhir_server.mapping.database import Database
from fhir_server.mapping.folder import Folder, is_folder
from fhir_server.mapping.identity import key_text
from fhir_server.mapping.model import Children, Merge, Parent, TableMapping
from fhir_server.mapping.plain import Reader, plain, sort_key
from fhir_server.mapping.problem import Problem, suggestion
from fhir_server.mapping.tenancy import TENANT, Tenancy, named

Row = tuple[Any, ...]
MOST_KEYS = 500
"""Values in one IN list: databases limit the parameters of a statement."""
COMPATIBLE: Mapping[str, frozenset[str]] = {
    "text": frozenset({"str"}),
    "integer": frozenset({"int"}),
    "decimal": frozenset({"Decimal", "float", "int"}),
    "boolean": frozenset({"bool", "int"}),
    "date": frozenset({"date", "datetime", "str"}),
    "timestamp": frozenset({"datetime", "date", "str"}),
    "timestamptz": frozenset({"datetime", "str"}),
    "time": frozenset({"time", "str"}),
    "json": frozenset({"object", "dict", "list", "str"}),
    "blob": frozenset({"bytes", "str"}),
}
"""Python types of the source's column type that a declared type may meet."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a table: keys above one and up to another, and what else a row must meet."""

    after: Row | None = None
    until: Row | None = None
    where: ColumnElement[bool] | None = None


class Source:
    """One legacy database or folder of files, open for reading."""

    def __init__(self, url: str):
        self.place: Database | Folder = Folder(url) if is_folder(url) else Database(url)
        self.tables = self.place.tables
        self.tenancy = Tenancy({})

    @property
    def engine(self) -> Engine:
        return self.place.engine

    def expect(self, tables: Mapping[str, TableMapping]) -> None:
        """Makes known what is declared about the tables, and so whose their rows are."""
        self.tenancy = Tenancy(tables)
        self.place.expect(tables)

    def close(self) -> None:
        self.place.close()

    def problems(self, mapping: TableMapping) -> Iterator[Problem]:
        """Where the source is not what the declaration expects."""
        if mapping.table not in self.tables:
            near = suggestion(mapping.table, self.tables)
            yield Problem(mapping.file, 1, f"The source has no table '{mapping.table}'.{near}")
            return
        yield from self._column_problems(mapping, mapping.table, mapping.columns, 1)
        known = {*mapping.columns}
        for name in self._types(mapping.table).keys() - known:
            yield Problem(mapping.file, 1, f"The column '{name}' of the source is not declared.", "warning")
        for related in mapping.related:
            if related.table not in self.tables:
                yield Problem(mapping.file, related.line, f"The source has no table '{related.table}'.")
            else:
                yield from self._column_problems(mapping, related.table, related.columns, related.line)

    def _column_problems(
        self, mapping: TableMapping, name: str, columns: Mapping[str, Any], line: int
    ) -> Iterator[Problem]:
        found = self._types(name)
        for each, declared in columns.items():
            if each not in found:
                yield Problem(
                    mapping.file, line, f"{name} of the source has no column '{each}'.{suggestion(each, found)}"
                )
            elif found[each] and found[each] not in COMPATIBLE[declared.name]:
                message = f"{name}.{each} is declared as {declared.name}; the source has {found[each]}."
                yield Problem(mapping.file, declared.line, message, "warning")

    def _types(self, name: str) -> dict[str, str]:
        """The Python type of each column, empty where SQLAlchemy knows none."""
        found = {}
        for each, kind in self.place.types(name).items():
            try:
                found[each] = "" if kind is NULLTYPE else kind.python_type.__name__
            except NotImplementedError:
                found[each] = ""
        return found

    def tenants(self, mapping: TableMapping) -> list[str]:
        """The tenants that a table has rows of."""
        if not mapping.tenant or mapping.table not in self.tables:
            return []
        tenant = self.tenancy.value(mapping.table)
        if tenant is None:
            return []
        wanted = select(tenant).select_from(named(mapping.table)).where(tenant.is_not(None)).distinct().order_by(tenant)
        with self.engine.connect() as connection:
            return [str(value) for (value,) in connection.execute(wanted)]

    def count(self, mapping: TableMapping, tenant: str | None) -> int:
        wanted = select(func.count()).select_from(named(mapping.table)).where(self.tenancy.rows(mapping, tenant))
        with self.engine.connect() as connection:
            return int(connection.execute(wanted).scalar_one())

    def page(
        self,
        mapping: TableMapping,
        tenant: str | None,
        span: Span,
        size: int,
    ) -> list[Row]:
        """The next rows in key order: however large the table, memory holds one page."""
        wanted: Any = select(*map(raw, mapping.columns)).select_from(named(mapping.table))
        wanted = wanted.where(*self._within(mapping, tenant, span)).order_by(*_keys(mapping)).limit(size)
        with self.engine.connect() as connection:
            read = self._reader(mapping.table, mapping.columns)
            return [read(row) for row in connection.execute(wanted)]

    def key_at(self, mapping: TableMapping, tenant: str | None, span: Span, offset: int) -> Row | None:
        """The key so many rows on; None where there are not so many."""
        wanted = select(*_keys(mapping)).select_from(named(mapping.table))
        wanted = wanted.where(*self._within(mapping, tenant, span)).order_by(*_keys(mapping)).offset(offset).limit(1)
        with self.engine.connect() as connection:
            found = connection.execute(wanted).first()
        return self._reader(mapping.table, mapping.key)(found) if found else None

    def rows(self, mapping: TableMapping, keys: Sequence[str]) -> list[Row]:
        """The rows with these keys, as far as the table has them."""
        found: list[Row] = []
        read = self._reader(mapping.table, mapping.columns)
        wanted: Any = select(*map(raw, mapping.columns)).select_from(named(mapping.table)).order_by(*_keys(mapping))
        with self.engine.connect() as connection:
            for some in _chunks([_key_values(mapping, each) for each in keys]):
                found += [read(row) for row in connection.execute(wanted.where(_any_key(mapping, some)))]
        return found

    def _within(self, mapping: TableMapping, tenant: str | None, span: Span) -> Iterator[ColumnElement[bool]]:
        yield self.tenancy.rows(mapping, tenant)
        keys = _keys(mapping)
        if span.after is not None:
            yield _beyond(keys, span.after)
        if span.until is not None:
            yield not_(_beyond(keys, span.until))
        if span.where is not None:
            yield span.where

    def related(self, mapping: TableMapping, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """For each row its parents (a row or None) and children (a list): one query each, however many rows."""
        found: list[dict[str, Any]] = [{} for _ in rows]
        at = {name: position for position, name in enumerate(mapping.columns)}
        for related in mapping.read_with:
            pointing = [_pointing(related, row, at, into) for row, into in zip(rows, found, strict=True)]
            grouped = self._grouped(related, {value for each in pointing for value, _ in each})
            for into, each in zip(found, pointing, strict=True):
                belonging = [{**beside, **row} for value, beside in each for row in grouped.get(value, ())]
                into[related.name] = belonging if isinstance(related, Children) else _only(belonging)
        return found

    def _grouped(self, related: Parent | Children, values: set[Any]) -> dict[Any, list[dict[str, Any]]]:
        known = self.tenancy.tables.get(related.table)
        order = [*related.order, *(known.key if known else ())]
        kept = list(dict.fromkeys([related.by, *related.columns]))
        names = list(dict.fromkeys([*kept, *order]))
        tenant = self.tenancy.value(related.table) if isinstance(related, Parent) else None
        chosen = [*map(raw, names), *([tenant.label(TENANT)] if tenant is not None else [])]
        wanted: Any = select(*chosen).select_from(named(related.table))
        read = self._reader(related.table, names)
        grouped: dict[Any, list[dict[str, Any]]] = {}
        with self.engine.connect() as connection:
            for some in _chunks(sorted(values, key=repr)):
                found = [read(row) for row in connection.execute(wanted.where(raw(related.by).in_(some)))]
                for row in _sorted(found, [names.index(each) for each in order]):
                    beside = {TENANT: plain(row[-1])} if tenant is not None else {}
                    grouped.setdefault(row[0], []).append(dict(zip(kept, row, strict=False)) | beside)
        return grouped

    def merged(self, mapping: TableMapping, merge: Merge, values: set[Any], tenant: str | None) -> dict[Any, list[Row]]:
        """All rows of each value, in the order that the merge states."""
        by: ColumnElement[Any] = column(merge.by, JSON)[merge.field].as_string() if merge.field else raw(merge.by)
        names = list(mapping.columns)
        wanted: Any = select(*map(raw, names)).select_from(named(mapping.table))
        wanted = wanted.where(self.tenancy.rows(mapping, tenant))
        at, order = names.index(merge.by), [names.index(each) for each in (*merge.order, *mapping.key)]
        read = self._reader(mapping.table, names)
        grouped: dict[Any, list[Row]] = {}
        with self.engine.connect() as connection:
            for some in _chunks(sorted(values, key=repr)):
                found = [read(row) for row in connection.execute(wanted.where(by.in_(some)))]
                for row in _sorted(found, order):
                    value = member_of(row[at], merge.field) if merge.field else row[at]
                    grouped.setdefault(value, []).append(row)
        return grouped

    def _reader(self, table: str, names: Iterable[str]) -> Reader:
        return Reader(list(names), self.place.types(table), self.place.backend)

    def orphans(self, mapping: TableMapping, name: str, target: TableMapping | None, tenant: str | None) -> int:
        """How many rows point to a row that is not there; all that point, where nothing maps the target."""
        pointing = raw(name)
        wanted = (
            select(func.count())
            .select_from(named(mapping.table))
            .where(self.tenancy.rows(mapping, tenant), pointing.is_not(None))
        )
        if target is not None:
            keys: Any = (
                select(raw(target.key[0])).select_from(named(target.table)).where(self.tenancy.rows(target, tenant))
            )
            wanted = wanted.where(pointing.not_in(keys))
        with self.engine.connect() as connection:
            return int(connection.execute(wanted).scalar_one())

    def present(self, mapping: TableMapping, keys: Sequence[str]) -> set[str]:
        """Which of these keys the table still has."""
        found: set[str] = set()
        wanted = select(*_keys(mapping)).select_from(named(mapping.table))
        read = self._reader(mapping.table, mapping.key)
        with self.engine.connect() as connection:
            for some in _chunks([_key_values(mapping, each) for each in keys]):
                rows = connection.execute(wanted.where(_any_key(mapping, some)))
                found |= {":".join(map(key_text, read(row))) for row in rows}
        return found


def _pointing(
    related: Parent | Children, row: Row, at: Mapping[str, int], into: Mapping[str, Any]
) -> list[tuple[Any, dict[str, Any]]]:
    """The values that a relation starts from, each with what its rows take over from the list it comes from."""
    name, field = related.on.name, related.on.field
    if not field:
        found: list[tuple[Any, dict[str, Any]]] = [(row[at[name]], {})]
    elif isinstance(into[name], list):
        found = [(each[field], {f"{name}_{key}": value for key, value in each.items()}) for each in into[name]]
    else:
        found = [((into[name] or {}).get(field), {})]
    return [(value, beside) for value, beside in found if value is not None]


def _only(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The row that a row points to; of several the first that has a tenant."""
    return next((row for row in rows if row.get(TENANT) is not None), next(iter(rows), None))


def since(mapping: TableMapping, at: str | None) -> ColumnElement[bool] | None:
    """Rows changed since a time or at none that they say; all rows of a table that never says."""
    if at is None or not mapping.watermark:
        return None
    changed: Any = func.coalesce(*map(raw, mapping.watermark))
    return or_(changed >= at, changed.is_(None))


def _keys(mapping: TableMapping) -> list[ColumnElement[Any]]:
    return [raw(name) for name in mapping.key]


def _key_values(mapping: TableMapping, written: str) -> Row:
    """The parts of a key that is written as text, as their columns have them."""
    parts = written.split(":", len(mapping.key) - 1)
    types = [mapping.columns[name].name for name in mapping.key]
    return tuple(
        int(part) if kind == "integer" and part.lstrip("-").isdecimal() else part
        for part, kind in zip(parts, types, strict=False)
    )


def _any_key(mapping: TableMapping, keys: Sequence[Row]) -> ColumnElement[bool]:
    columns = _keys(mapping)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    matching = [and_(*(each == value for each, value in zip(columns, key, strict=False))) for key in keys]
    return or_(*matching) if matching else false()


def _beyond(keys: Sequence[ColumnElement[Any]], values: Row) -> ColumnElement[bool]:
    """Keys above one, in words that every database knows."""
    first: ColumnElement[bool] = keys[0] > values[0]
    if len(keys) == 1:
        return first
    return or_(first, and_(keys[0] == values[0], _beyond(keys[1:], values[1:])))


def _sorted(rows: list[Row], order: Sequence[int]) -> list[Row]:
    """In an order of ours: databases sort letters and nulls each in their own way."""
    return sorted(rows, key=lambda row: sort_key([row[at] for at in order])) if order else rows


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), MOST_KEYS):
        yield values[start : start + MOST_KEYS]
