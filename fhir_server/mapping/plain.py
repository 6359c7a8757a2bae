"""Values of rows alike from every database, so that the same rows become the same resources wherever they are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.types import CHAR, DateTime, Float, Numeric, TypeEngine

Reading = Callable[[Any], Any]
MOST = 10**15
SHORT_OFFSET = re.compile(r"[+-]\d{2}\Z")


def _moment(value: datetime) -> str:
    return (value.astimezone(UTC) if value.tzinfo else value).isoformat(" ")


def _clock(value: timedelta) -> str:
    """MySQL has times of day as durations."""
    seconds = int(value.total_seconds())
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


PLAIN: Mapping[type, Reading] = {
    bool: int,
    datetime: _moment,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _clock,
    UUID: str,
    memoryview: bytes,
    bytearray: bytes,
}
KEPT = (str, bytes, int, float, Decimal, dict, list, type(None))


def plain(value: Any) -> Any:
    """A value as SQLite would have it: flags are 0 and 1, dates and times are text."""
    found = PLAIN.get(type(value))
    if found:
        return found(value)
    return value if isinstance(value, KEPT) else str(value)


def _unpadded(value: Any) -> Any:
    return value.rstrip(" ") if isinstance(value, str) else plain(value)


def _whole_offset(value: Any) -> Any:
    """PostgreSQL writes `+00` for `+00:00`."""
    value = plain(value)
    return f"{value}:00" if isinstance(value, str) and SHORT_OFFSET.search(value) else value


def _in_utc(value: Any) -> Any:
    """A TIMESTAMP of MySQL is a moment; the session reads it in UTC."""
    value = plain(value)
    return f"{value}+00:00" if isinstance(value, str) and "+" not in value else value


def _scaled(scale: int) -> Reading:
    """SQLite keeps decimals as binary fractions: as many places as the column has are written again."""
    unit = Decimal(1).scaleb(-scale)

    def read(value: Any) -> Any:
        if not isinstance(value, int | float) or not abs(value) < MOST:
            return value
        written = Decimal(str(value))
        return written.quantize(unit) if written == round(written, scale) else written

    return read


def reading(kind: TypeEngine[Any], backend: str) -> Reading | None:
    """How values of a column are read; None where they are plain already."""
    if backend == "sqlite":
        is_exact = isinstance(kind, Numeric) and not isinstance(kind, Float) and kind.scale
        return _scaled(int(kind.scale)) if is_exact else None  # type: ignore[attr-defined]
    if isinstance(kind, CHAR):
        return _unpadded
    if isinstance(kind, DateTime):
        if backend in ("mysql", "mariadb"):
            return _in_utc if kind.__visit_name__ == "TIMESTAMP" else plain
        return _whole_offset if kind.timezone else plain
    return plain


class Reader:
    """What makes rows of some columns plain."""

    def __init__(self, names: Sequence[str], types: Mapping[str, TypeEngine[Any]], backend: str):
        found = [(at, reading(types[name], backend)) for at, name in enumerate(names) if name in types]
        self.steps = [(at, read) for at, read in found if read]

    def __call__(self, row: Sequence[Any]) -> tuple[Any, ...]:
        if not self.steps:
            return tuple(row)
        values = list(row)
        for at, read in self.steps:
            if values[at] is not None:
                values[at] = read(values[at])
        return tuple(values)


def sort_key(values: Sequence[Any]) -> tuple[tuple[int, Any], ...]:
    """An order that does not depend on a database: nothing, numbers, text, all else."""
    return tuple(_ranked(value) for value in values)


def _ranked(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, int | float | Decimal):
        return 1, value
    return (2, value) if isinstance(value, str) else (3, repr(value))
