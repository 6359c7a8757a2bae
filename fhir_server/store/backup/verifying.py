"""A backup read without a store: is it what was written, all of it, and what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import msgspec

from fhir_server.store.backup.archive import SUFFIX, Broken, Frame, Header, frames, key_of, read_header
from fhir_server.store.backup.creating import Made, Told, quiet
from fhir_server.store.backup.tally import Manifest, Tally, differences, split
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import Kek

Part = tuple[str, str, Frame, bytes]
"""Place, collection, whether documents are there or gone, and the documents."""


async def verify(path: Path, kek: Kek, told: Told = quiet) -> Made:
    """Every chunk opened, every document counted and hashed; `Broken` says what is wrong."""
    started = monotonic()
    header = read_header(path)
    key = await key_of(header, kek, path)
    manifest = await asyncio.to_thread(_counted, path, key, told)
    return Made(path, header, manifest, monotonic() - started, (path,))


def _counted(path: Path, key: bytes, told: Told) -> Manifest:
    tally, gone = Tally(), 0
    found: list[Manifest] = []
    for place, collection, frame, block in parts(path, key, found.append):
        if frame is Frame.GONE:
            gone += sum(1 for _ in split(block))
        else:
            tally.add(place, collection, split(block))
            told(tally.documents, tally.bytes, 0)
    if len(found) != 1:
        raise Broken(f"{path.name} has no manifest.")
    counted = tally.manifest(gone=gone, keys=found[0].keys)
    if counted != found[0]:
        raise Broken(f"{path.name} does not hold what its manifest says: {'; '.join(differences(found[0], counted))}.")
    return counted


def parts(path: Path, key: bytes, manifest: Callable[[Manifest], object] = lambda _: None) -> Iterator[Part]:
    """Its documents with where they belong; the manifest is told at the end."""
    place = collection = ""
    for frame, payload in frames(path, key):
        if frame is Frame.SECTION:
            place, collection = msgspec.json.decode(payload, type=tuple[str, str])
        elif frame is Frame.MANIFEST:
            manifest(msgspec.json.decode(payload, type=Manifest))
        else:
            yield place, collection, frame, payload


def listed(folder: Path) -> list[tuple[Path, Header]]:
    """The backups of a folder, the oldest first; their headers are believed. What has none is passed over."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(Broken):
            found.append((path, read_header(path)))
    return sorted(found, key=lambda pair: (pair[1].family, pair[1].moment, pair[1].kind))


def chain(paths: list[Path], until: datetime | None = None) -> list[tuple[Path, Header]]:
    """A full backup and the increments that go on from it, one after the other, up to a time."""
    found = [(path, read_header(path)) for path in paths]
    for number, (path, header) in enumerate(found):
        before = found[number - 1][1].id if number else ""
        if header.kind != ("increment" if number else "full") or header.based_on != before:
            follows = f"go on from {found[number - 1][0].name}" if number else "begin anew"
            raise StoreError(f"{path.name} is a backup of kind '{header.kind}' that does not {follows}.")
    wanted = [each for each in found if until is None or at(each[1]) <= until]
    if not wanted:
        raise StoreError(f"The first backup is of {at(found[0][1]):%Y-%m-%d %H:%M:%S} UTC, after the time asked for.")
    return wanted


def at(header: Header) -> datetime:
    """The moment of a backup by the clock of the cluster, to the second."""
    return datetime.fromtimestamp(header.moment[0], UTC)
