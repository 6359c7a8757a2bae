"""A legacy database, open for writing: single rows, each in a transaction of its own, as long as nobody was faster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, and_, table, update
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from fhir_server.mapping.columns import raw
from fhir_server.mapping.database import SourceError, lacking, opened, with_driver
from fhir_server.mapping.model import TableMapping

TIMES = frozenset({"timestamp", "timestamptz"})
OFFSET = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)\Z")


class Target:
    """Where rows are written."""

    def __init__(self, url: str):
        try:
            self.engine = opened(with_driver(url), writes=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as fault:
            raise SourceError(f"The database cannot be opened: {lacking(fault)}") from fault

    def close(self) -> None:
        self.engine.dispose()

    def update(self, mapping: TableMapping, seen: Mapping[str, Any], changes: Mapping[str, Any], check: str) -> bool:
        """Whether the row was still as it was seen, and so is changed now."""
        compared = dict.fromkeys([*mapping.key, check, *changes])
        columns: list[Any] = [raw(name) for name in compared]
        wanted = update(table(mapping.table, *columns)).where(and_(*(_still(name, seen[name]) for name in compared)))
        with self.engine.begin() as connection:
            return connection.execute(wanted.values(dict(changes))).rowcount == 1


def touched(kind: str, before: Any, zone: tzinfo) -> Any:
    """The time of a change that happens now, written as the column has it; None where the column is no time."""
    if kind not in TIMES:
        return None
    offset = OFFSET.search(before) if isinstance(before, str) else None
    now = datetime.now(UTC if kind == "timestamptz" or offset else zone)
    if not isinstance(before, str):
        has_zone = before.tzinfo is not None if isinstance(before, datetime) else kind == "timestamptz"
        return now if has_zone else now.replace(tzinfo=None)
    exact = "microseconds" if "." in before else "seconds"
    bare = now.replace(tzinfo=None).isoformat("T" if "T" in before else " ", exact)
    return f"{bare}{'' if offset is None else 'Z' if offset[0] == 'Z' else '+00:00'}"


def _still(name: str, value: Any) -> ColumnElement[bool]:
    found = raw(name)
    return found.is_(None) if value is None else found == value
