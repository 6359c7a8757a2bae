"""Which rows of a table may have changed since it was read: their own time of change, or that of rows read with them.

A change may become visible later than its time says, because its transaction was still open: so the window that is read
begins some time before what was read last, and ends some time before now. What has not changed is found by its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from fhir_server.mapping.columns import raw
from fhir_server.mapping.model import Children, Parent, TableMapping
from fhir_server.mapping.source import Source
from fhir_server.mapping.tenancy import named

MARGIN = timedelta(seconds=30)
"""Changes of the last moments are left for the next time."""
TIMES = frozenset({"timestamp", "timestamptz", "date"})
UNTIMED = "="
"""Before the name of a relation whose mark is a hash of its rows."""
HASHED = 16
"""Bytes of a hash. Those of rows are added up: not every column of every database can be sorted by."""
WRITTEN = "%Y-%m-%d %H:%M:%S.%f"

Marks = Mapping[str, str]
"""By table, the latest time of change that was there to be read; or what the rows were, where they have none."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a source up to a moment."""

    source: Source
    tables: Mapping[str, TableMapping]
    now: datetime
    zone: tzinfo
    overlap: timedelta
    looked: datetime | None = None
    """When the marks were made."""

    def marks(self, mapping: TableMapping) -> Marks | None:
        """The marks of a table and of those read with it; None where its rows never say when they changed."""
        if not _tells(mapping):
            return None
        found = {mapping.table: self._latest(mapping)}
        for related in mapping.read_with:
            table = self.tables.get(related.table)
            if table and _tells(table):
                found[table.table] = self._latest(table)
            else:
                found[f"{UNTIMED}{related.name}"] = self._content(related)
        return found

    def where(self, mapping: TableMapping, before: Marks) -> ColumnElement[bool]:
        """Rows of the table that have changed themselves, or whose parents or children have."""
        conditions = [self._window(mapping, before[mapping.table])]
        for related in mapping.read_with:
            table = self.tables.get(related.table)
            if not table or not _tells(table):
                continue
            window = self._window(table, before[related.table])
            by: ColumnElement[Any] = raw(related.by)
            changed = select(by).select_from(named(related.table)).where(window)
            conditions.append(_pointing(mapping, related, changed))
        return or_(*conditions)

    def _latest(self, table: TableMapping) -> str:
        changed: Any = _changed(table)
        wanted = select(func.max(changed)).select_from(named(table.table)).where(changed < self._until(table))
        with self.source.engine.connect() as connection:
            return str(connection.execute(wanted).scalar_one() or "")

    def _content(self, related: Parent | Children) -> str:
        """A hash of what is read of a related table whose rows never say when they changed."""
        names: list[ColumnElement[Any]] = [raw(name) for name in dict.fromkeys([related.by, *related.columns])]
        wanted = select(*names).select_from(named(related.table))
        total = 0
        with self.source.engine.connect() as connection:
            for row in connection.execution_options(yield_per=1000).execute(wanted):
                total += int.from_bytes(hashlib.blake2b(repr(tuple(row)).encode(), digest_size=HASHED).digest())
        return f"{total % 2 ** (8 * HASHED):0{2 * HASHED}x}"

    def _window(self, table: TableMapping, before: str) -> ColumnElement[bool]:
        changed: Any = _changed(table)
        return or_(changed.is_(None), and_(*self._bounds(table, changed, before)))

    def _bounds(self, table: TableMapping, changed: Any, before: str) -> Iterator[ColumnElement[bool]]:
        yield changed < self._until(table)
        try:
            start = datetime.fromisoformat(before) - self.overlap
        except ValueError:  # Nothing was read yet, or times that are none: all of them are read.
            return
        if self.looked is not None and before < self._text(table, self.looked - MARGIN - self.overlap):
            yield changed > before  # Whatever ended late had done so by then.
            return
        yield changed >= start.strftime(WRITTEN) + (start.strftime("%z") and start.isoformat()[-6:])

    def _until(self, table: TableMapping) -> str:
        return self._text(table, self.now - MARGIN)

    def _text(self, table: TableMapping, moment: datetime) -> str:
        """As the columns have it: without a zone they are in the tenant's."""
        if table.columns[table.watermark[0]].name == "timestamptz":
            return f"{moment.astimezone(UTC):{WRITTEN}}+00:00"
        return f"{moment.astimezone(self.zone):{WRITTEN}}"


def same_around(before: Marks, after: Marks) -> bool:
    """Whether the tables are the same, and those that never say when they changed have not."""
    untimed = [name for name in after if name.startswith(UNTIMED)]
    return before.keys() == after.keys() and all(before[name] == after[name] for name in untimed)


def _tells(table: TableMapping) -> bool:
    return bool(table.watermark) and all(table.columns[name].name in TIMES for name in table.watermark)


def _changed(table: TableMapping) -> Any:
    names: list[ColumnElement[Any]] = [raw(name) for name in table.watermark]
    return func.coalesce(*names) if len(names) > 1 else names[0]


def _pointing(mapping: TableMapping, related: Parent | Children, values: Any) -> ColumnElement[bool]:
    """Rows from which these rows of a related table are reached, over as many tables as it takes."""
    name, field = related.on.name, related.on.field
    if not field:
        return raw(name).in_(values)
    between = mapping.parents.get(name) or mapping.children[name]
    member: ColumnElement[Any] = raw(field)
    by: ColumnElement[Any] = raw(between.by)
    reached = select(by).select_from(named(between.table)).where(member.in_(values))
    return _pointing(mapping, between, reached)
