"""Rows out of files: CSV with a header (RFC 4180), or one JSON object on each line, compressed (RFC 1952) or not."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl

import msgspec

from fhir_server.mapping.database import SourceError

DELIMITERS = ",;\t|"
NO_VALUE = "\\N"
"""What dumps of MySQL and PostgreSQL write for NULL."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
WORDS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json"}
OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
Record = Mapping[str, Any]

csv.field_size_limit(sys.maxsize)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the files are written, as far as they do not say it themselves."""

    delimiter: str | None = None
    null: str = NO_VALUE
    encoding: str | None = None


def dialect(query: str) -> Dialect:
    """What stands behind the `?` of a folder: `delimiter=;&null=NULL&encoding=cp1252`."""
    said = dict(parse_qsl(query, keep_blank_values=True))
    unknown = said.keys() - set(Dialect.__slots__)
    if unknown:
        raise SourceError(f"A folder has no option '{min(unknown)}'; there are {', '.join(Dialect.__slots__)}.")
    found = Dialect(**said)
    delimiter = WORDS.get(found.delimiter or "", found.delimiter)
    if delimiter is not None and len(delimiter) != 1:
        raise SourceError(f"The delimiter '{delimiter}' is not one character.")
    try:
        "".encode(found.encoding or "utf-8")
    except LookupError as fault:
        raise SourceError(f"There is no encoding '{found.encoding}'.") from fault
    return Dialect(delimiter, found.null, found.encoding)


@dataclass(frozen=True, slots=True)
class Table:
    """The file of one table."""

    path: Path
    dialect: Dialect

    @property
    def kind(self) -> str:
        return FORMATS[_suffix(self.path)]

    def columns(self) -> list[str]:
        """The header of a CSV file; of JSON lines, all names that are in one."""
        with self._read() as lines:
            if self.kind == "csv":
                return self._header(self._parsed(lines))
            return list(dict.fromkeys(name for _, record in self._objects(lines) for name in record))

    def records(self) -> Iterator[tuple[int, Record]]:
        """Each record with the number of its line."""
        with self._read() as lines:
            yield from self._rows(lines) if self.kind == "csv" else self._objects(lines)

    def fault(self, line: int, message: str) -> SourceError:
        return SourceError(f"{self.path.name}, line {line}: {message}")

    @contextmanager
    def _read(self) -> Iterator[TextIO]:
        opener: Any = gzip.open if self.path.suffix == ".gz" else open
        try:
            with opener(self.path, "rb") as stream:
                marked = MARKS.get(stream.read(2))
            with opener(self.path, "rt", encoding=self.dialect.encoding or marked or "utf-8-sig", newline="") as lines:
                yield lines
        except UnicodeDecodeError as fault:
            raise SourceError(f"{self.path.name} is not in {fault.encoding}; say ?encoding=….") from fault
        except (OSError, EOFError) as fault:
            raise SourceError(f"{self.path.name} cannot be read: {fault}.") from fault

    def _parsed(self, lines: TextIO) -> Any:
        """A reader of CSV, by the delimiter that is named or that the header has most of."""
        first = lines.readline()
        named = self.dialect.delimiter or ("\t" if _suffix(self.path) == ".tsv" else None)
        return csv.reader(_again(first, lines), delimiter=named or max(DELIMITERS, key=first.count), strict=True)

    def _header(self, rows: Any) -> list[str]:
        names = [name.strip() for name in next(rows, [])]
        twice = [name for name in names if not name or names.count(name) > 1]
        if not names or twice:
            why = f"the column '{twice[0]}' is there twice." if twice and twice[0] else "a column has no name."
            raise self.fault(1, why if names else "there is no header.")
        return names

    def _rows(self, lines: TextIO) -> Iterator[tuple[int, Record]]:
        rows = self._parsed(lines)
        names = self._header(rows)
        missing = {"", self.dialect.null}
        try:
            for row in rows:
                if not row:
                    continue
                if len(row) != len(names):
                    raise self.fault(rows.line_num, f"{len(row)} values for {len(names)} columns.")
                values = (None if value in missing else value for value in row)
                yield rows.line_num, dict(zip(names, values, strict=True))
        except csv.Error as fault:
            raise self.fault(rows.line_num, f"{fault}.") from fault

    def _objects(self, lines: TextIO) -> Iterator[tuple[int, Record]]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = OBJECT.decode(line)
            except (msgspec.DecodeError, UnicodeEncodeError) as fault:
                raise self.fault(number, "it is no JSON object.") from fault
            yield number, {name: _written(bytes(each)) for name, each in found.items()}


def tables(folder: Path, said: Dialect) -> dict[str, Table]:
    """The files of a folder by the table that each is named after."""
    found: dict[str, Table] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or _suffix(path) not in FORMATS:
            continue
        name = path.name.removesuffix(".gz").removesuffix(_suffix(path))
        if name in found:
            raise SourceError(f"{found[name].path.name} and {path.name} are both the table '{name}'.")
        found[name] = Table(path, said)
    return found


def _again(first: str, rest: TextIO) -> Iterator[str]:
    yield first
    yield from rest


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _written(value: bytes) -> Any:
    """A member as a database would have it: text, flags as 0 and 1, all else as it is written."""
    kind = value[:1]
    if kind == b'"':
        return msgspec.json.decode(value)
    return {b"n": None, b"t": 1, b"f": 0}.get(kind, value.decode()) if kind in b"ntf" else value.decode()
