"""Resources in files: JSON or NDJSON, one or many, compressed or not.  https://hl7.org/fhir/R4/nd-json.html"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource

ENDINGS = (".json", ".ndjson", ".json.gz", ".ndjson.gz")


@dataclass(frozen=True, slots=True)
class Source:
    """One resource of a file, or why it cannot be read; `place` says where it stands."""

    place: str
    resource: Resource | None = None
    problem: str = ""


def found(paths: Iterable[Path]) -> list[Path]:
    """The files, and those in the folders, in an order that stays the same."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        files += [each for each in inside if path.is_file() or each.name.endswith(ENDINGS)]
    return files


def read(path: Path, advanced: Callable[[int], None]) -> Iterator[Source]:
    """The resources of a file; `advanced` is told of more bytes that were read."""
    at = 0
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.name.endswith(".gz") else raw
        for source in _lines(path, stream) if ".ndjson" in path.name else _whole(path, stream):
            yield source
            advanced(raw.tell() - at)
            at = raw.tell()


def _lines(path: Path, stream: BufferedIOBase) -> Iterator[Source]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield _parsed(f"{path}:{number}", line.strip())


def _whole(path: Path, stream: BufferedIOBase) -> Iterator[Source]:
    yield _parsed(str(path), stream.read())


def _parsed(place: str, raw: bytes) -> Source:
    try:
        return Source(place, json.parse(raw))
    except FhirError as problem:
        return Source(place, problem=str(problem))
