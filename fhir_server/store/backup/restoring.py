"""A backup brought back: into an empty store, or as a tenant that is not there. All of it, or nothing.

Each file is read to its end before anything is written; afterwards the store is read and compared with it. The register
of tenants comes last, so that nobody is served what is not complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from bson.raw_bson import RawBSONDocument

from fhir_server.store.backup.archive import SUFFIX, Header, key_of
from fhir_server.store.backup.creating import LAYOUT, Made, Told, explained, quiet
from fhir_server.store.backup.replaying import apply, compare
from fhir_server.store.backup.sources import COMMON, blocks, place_name
from fhir_server.store.backup.tally import Tally, differences
from fhir_server.store.backup.target import RESTORING, Target
from fhir_server.store.backup.verifying import Part, chain, parts, verify
from fhir_server.store.codec import RAW
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import Kek
from fhir_server.store.layout import TENANTS
from fhir_server.store.migrations import migrate

LANES = 3
"""Batches that are written at a time."""


class Restored(NamedTuple):
    header: Header
    """Of the last file: everything is as it was at its moment."""
    tenants: list[str]
    documents: int
    bytes: int
    root: str
    seconds: float
    compared_seconds: float


class Chosen(NamedTuple):
    """The files of a restoration, each read and found whole."""

    files: list[Made]
    keys: Made | None

    @property
    def header(self) -> Header:
        """Of the last: that is the moment that is restored."""
        return self.files[-1].header

    @property
    def total(self) -> int:
        """Documents of the full backup and of keys."""
        return self.files[0].manifest.documents + (self.keys.manifest.documents if self.keys else 0)


async def restore(
    store: Store, kek: Kek, paths: list[Path], *, until: datetime | None = None, told: Told = quiet
) -> Restored:
    started = monotonic()
    chosen = await _chosen(kek, paths, until)
    with explained():
        target = await Target.of(store, chosen.header)
        await target.claim(chosen.header)
        try:
            compared = await _filled(target, kek, chosen, told)
            await _opened(target, chosen.header)
        except BaseException:
            await target.clear()
            raise
    return Restored(
        chosen.header,
        sorted(target.register),
        sum(each.manifest.documents for each in chosen.files),
        sum(each.manifest.bytes for each in chosen.files),
        chosen.files[-1].manifest.root,
        monotonic() - started,
        compared,
    )


async def _chosen(kek: Kek, paths: list[Path], until: datetime | None) -> Chosen:
    wanted = chain(paths, until)
    made = [await verify(path, kek) for path, _ in wanted]
    last = made[-1]
    beside = paths[0].parent / f"{last.header.family}.keys{SUFFIX}"
    keys = await verify(beside, kek) if beside.exists() else None
    if keys is None and last.manifest.keys:
        raise StoreError(f"{beside.name} is not beside {paths[0].name}: without these keys nothing of it can be read.")
    if keys is not None and keys.header.moment < last.header.moment:
        raise StoreError(f"{beside.name} is older than {last.path.name}: it lacks keys that were made in between.")
    if last.header.layout > LAYOUT:
        raise StoreError(f"{last.path.name} was written by a newer release (migration {last.header.layout}).")
    return Chosen(made, keys)


async def _filled(target: Target, kek: Kek, chosen: Chosen, told: Told) -> float:
    """Seconds that comparing took."""
    first, *increments = chosen.files
    compared = 0.0
    for made in (first, *([chosen.keys] if chosen.keys else [])):
        await _each(_reading(made, kek), lambda part: _inserted(target, part, told, chosen.total))
    compared += await _timed(_compared(target))
    for made in increments:
        await _each(_reading(made, kek), lambda part: apply(target, part))
        compared += await _timed(compare(target, await _reading(made, kek)))
    return compared


async def _reading(made: Made, kek: Kek) -> AsyncIterator[Part]:
    """Reading, opening and inflating happen in a thread."""
    return _stepwise(parts(made.path, await key_of(made.header, kek, made.path)))


async def _stepwise(found: Iterator[Part]) -> AsyncIterator[Part]:
    while (part := await asyncio.to_thread(next, found, None)) is not None:
        yield part


async def _each(reading: Awaitable[AsyncIterator[Part]], work: Callable[[Part], Awaitable[None]]) -> None:
    """A few at a time: one is read while others are written."""
    slots = asyncio.Semaphore(LANES)

    async def one(part: Part) -> None:
        try:
            await work(part)
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as lanes:
            async for part in await reading:
                await slots.acquire()
                lanes.create_task(one(part))
    except ExceptionGroup as several:
        raise several.exceptions[0] from several


async def _timed(work: Awaitable[None]) -> float:
    started = monotonic()
    await work
    return monotonic() - started


async def _inserted(target: Target, part: Part, told: Told, total: int) -> None:
    place, name, frame, block = part
    documents = target.lasting(place, name, block)
    target.expected.add(place, name, documents)
    told(target.expected.documents, target.expected.bytes, total)
    if name == TENANTS:
        target.enrol(frame, block)
    elif documents:
        raw = [RawBSONDocument(each, RAW) for each in documents]
        await target.collection(place, name).insert_many(raw, ordered=False)


async def _compared(target: Target) -> None:
    """Reads by majority: what a new primary could forget is not there."""
    await target.settled()
    found = Tally()
    found.add(COMMON, TENANTS, (bytes(each.raw) for _, each in sorted(target.register.items())))
    for source in target.every.values():
        async for block in blocks(source):
            found.add(source.place, source.name, target.lasting(source.place, source.name, block))
    different = differences(target.expected.manifest(), found.manifest())
    if different:
        raise StoreError(f"What was restored is not what the backup holds: {'; '.join(different)}. It was removed.")


async def _opened(target: Target, header: Header) -> None:
    """Steps of layouts that the backup has not seen, then the tenants, and what guards their search parameters."""
    store = target.store
    for place in header.places:
        database = await store.place(place_name(store, place))
        await database.migrations.delete_many({"_id": {"$gt": header.layout}})
        await migrate(database)
    if target.register:
        await target.collection(COMMON, TENANTS).insert_many(target.register.values())
    for name in target.register:
        tenant = await store.tenants.latest(name)
        if tenant.own.version:
            await store.raise_guard(tenant)
    await store.common.migrations.delete_one({"_id": RESTORING})
