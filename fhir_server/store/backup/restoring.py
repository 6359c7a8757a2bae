"""A backup brought back: into an empty store, or as a tenant that is not there. All of it, or nothing.

Each file is read to its end before anything is written; afterwards the store is read and compared with it. The register
of tenants comes last, so that nobody is served what is not complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from bson.raw_bson import RawBSONDocument

from fhir_server.store.backup.archive import Header, key_of
from fhir_server.store.backup.creating import LAYOUT, Made, Told, explained, quiet
from fhir_server.store.backup.expiry import MARGIN, Rule, lasting, rules
from fhir_server.store.backup.sources import COMMON, RawCollection, Source, blocks, of_tenant, place_name, sources
from fhir_server.store.backup.tally import Tally, differences, split
from fhir_server.store.backup.verifying import Part, chain, parts, verify
from fhir_server.store.codec import RAW
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import Kek
from fhir_server.store.layout import TENANTS
from fhir_server.store.migrations import migrate

LANES = 3
"""Batches that are written at a time."""
RESTORING = "restoring"
"""In the collection of migrations: what was not finished."""


class Restored(NamedTuple):
    header: Header
    tenants: list[str]
    documents: int
    bytes: int
    root: str
    """Of what was compared."""
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


async def restore(
    store: Store, kek: Kek, paths: list[Path], *, until: datetime | None = None, told: Told = quiet
) -> Restored:
    started = monotonic()
    chosen = await _chosen(kek, paths, until)
    with explained():
        target = await Target.of(store, chosen.header)
        await target.claim(chosen.header)
        try:
            await _filled(target, kek, chosen, told)
            compared = await _compared(target, monotonic())
            await _opened(target, chosen.header)
        except BaseException:
            await target.clear()
            raise
    tenants = sorted(str(each["_id"]) for each in target.register)
    expected = target.expected.manifest()
    return Restored(
        chosen.header, tenants, expected.documents, expected.bytes, expected.root, monotonic() - started, compared
    )


async def _chosen(kek: Kek, paths: list[Path], until: datetime | None) -> Chosen:
    wanted = chain(paths, until)
    made = [await verify(path, kek) for path, _ in wanted]
    last = made[-1]
    beside = paths[0].parent / f"{last.header.family}.keys.fhirbackup"
    keys = await verify(beside, kek) if beside.exists() else None
    if keys is None and last.manifest.keys:
        raise StoreError(f"{beside.name} is not beside {paths[0].name}: without these keys nothing of it can be read.")
    if keys is not None and keys.header.moment < last.header.moment:
        raise StoreError(f"{beside.name} is older than {last.path.name}: it lacks keys that were made in between.")
    if last.header.layout > LAYOUT:
        raise StoreError(f"{last.path.name} was written by a newer release (migration {last.header.layout}).")
    return Chosen(made, keys)


@dataclass(slots=True)
class Target:
    """Where it goes, what expires there by itself, and what is expected to be there in the end."""

    store: Store
    tenant: str
    every: dict[tuple[str, str], Source]
    rules: dict[tuple[str, str], Rule]
    horizon: datetime
    expected: Tally = field(default_factory=Tally)
    register: list[RawBSONDocument] = field(default_factory=list)
    """Kept back to the end."""

    @classmethod
    async def of(cls, store: Store, header: Header) -> Target:
        for place in header.places:
            if place == store.common.name:
                raise StoreError(f"A tenant of this backup has the database '{place}', which is the common one here.")
            await store.place(place_name(store, place))
        every = {(each.place, each.name): each for each in await sources(store, header.tenant, header.places)}
        return cls(store, header.tenant, every, await rules(every.values()), datetime.now(UTC) + MARGIN)

    async def claim(self, header: Header) -> None:
        """Refuses where anything is; what an interrupted restoration left behind is removed."""
        migrations = self.store.common.migrations
        tenants = self.every.get((COMMON, TENANTS))
        if tenants and await tenants.collection.find_one(tenants.scope):
            raise StoreError(self._occupied(f"a tenant '{self.tenant}'" if self.tenant else "tenants"))
        if await migrations.find_one({"_id": RESTORING, "tenant": self.tenant}):
            await self.clear()
        for source in self.every.values():
            if await source.collection.find_one(source.scope):
                raise StoreError(self._occupied(f"documents in {source.name}"))
        await migrations.insert_one({"_id": RESTORING, "tenant": self.tenant, "backup": header.id})

    def _occupied(self, what: str) -> str:
        return f"'{self.store.common.name}' has {what} already. A backup is restored where nothing is."

    async def clear(self) -> None:
        for source in self.every.values():
            await source.collection.delete_many(source.scope)
        await self.store.common.migrations.delete_one({"_id": RESTORING})

    def collection(self, place: str, name: str) -> RawCollection:
        """A collection that only the backup has is one of its release."""
        if (place, name) not in self.every:
            made = self.store.raw(place_name(self.store, place))[name]
            self.every[place, name] = Source(place, name, made, of_tenant(name, self.tenant))
        return self.every[place, name].collection

    def lasting(self, place: str, name: str, block: bytes) -> list[bytes]:
        return list(lasting(split(block), self.rules.get((place, name)), self.horizon))


async def _filled(target: Target, kek: Kek, chosen: Chosen, told: Told) -> None:
    first, *increments = chosen.files
    total = first.manifest.documents + (chosen.keys.manifest.documents if chosen.keys else 0)
    for made in (first, *([chosen.keys] if chosen.keys else [])):
        key = await key_of(made.header, kek, made.path)
        async with asyncio.TaskGroup() as lanes:
            slots = asyncio.Semaphore(LANES)
            async for part in _stepwise(parts(made.path, key)):
                documents = target.lasting(part[0], part[1], part[3])
                target.expected.add(part[0], part[1], documents)
                await slots.acquire()
                lanes.create_task(_inserted(target, part, documents, slots))
                told(target.expected.documents, target.expected.bytes, total)
    assert not increments


async def _inserted(target: Target, part: Part, documents: list[bytes], slots: asyncio.Semaphore) -> None:
    try:
        raw = [RawBSONDocument(each, RAW) for each in documents]
        if part[1] == TENANTS:
            target.register += raw
        elif raw:
            await target.collection(part[0], part[1]).insert_many(raw, ordered=False)
    finally:
        slots.release()


async def _stepwise(found: Iterator[Part]) -> AsyncIterator[Part]:
    """Reading, opening and inflating happen in a thread."""
    while (part := await asyncio.to_thread(next, found, None)) is not None:
        yield part


async def _compared(target: Target, started: float) -> float:
    """Reads by majority: what a new primary could forget is not there."""
    await target.store.common.migrations.update_one({"_id": RESTORING}, {"$set": {"written": datetime.now(UTC)}})
    found = Tally()
    found.add(COMMON, TENANTS, (bytes(each.raw) for each in target.register))
    for source in target.every.values():
        async for block in blocks(source):
            found.add(source.place, source.name, target.lasting(source.place, source.name, block))
    different = differences(target.expected.manifest(), found.manifest())
    if different:
        raise StoreError(f"What was restored is not what the backup holds: {'; '.join(different)}. It was removed.")
    return monotonic() - started


async def _opened(target: Target, header: Header) -> None:
    """Steps of layouts that the backup has not seen, then the tenants, and what guards their search parameters."""
    store = target.store
    for place in header.places:
        database = await store.place(place_name(store, place))
        await database.migrations.delete_many({"_id": {"$gt": header.layout}})
        await migrate(database)
    if target.register:
        await target.collection(COMMON, TENANTS).insert_many(target.register)
    for each in target.register:
        tenant = await store.tenants.latest(str(each["_id"]))
        if tenant.own.version:
            await store.raise_guard(tenant)
    await store.common.migrations.delete_one({"_id": RESTORING})
