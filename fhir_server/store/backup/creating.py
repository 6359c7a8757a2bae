"""A backup made: every collection read at one moment of the cluster, hashed, compressed, sealed, written.

Reads of a session with a snapshot see one moment, of all collections of all databases, for as long as MongoDB keeps it.
https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

import msgspec
from msgspec.structs import replace as replace_struct
from pymongo import ReturnDocument
from pymongo.errors import OperationFailure, PyMongoError

from fhir_server.crypto.secret import KEY_BYTES
from fhir_server.store.backup import archive
from fhir_server.store.backup.archive import Frame, Header, Kind, Writer
from fhir_server.store.backup.marks import token
from fhir_server.store.backup.sources import Source, blocks, is_of_keys, places, sources
from fhir_server.store.backup.tally import Manifest, Tally, split
from fhir_server.store.connection import Store
from fhir_server.store.database import Session
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import Kek
from fhir_server.store.layout import MIGRATIONS
from fhir_server.store.migrations import MIGRATIONS as LAYOUTS

T = TypeVar("T")

LAYOUT = max(each.number for each in LAYOUTS)
Told = Callable[[int, int, int], None]
"""Is told the documents and bytes that are done, and how many documents there are, or 0 where that is not known."""


MARK = "backup"
"""In the collection of migrations: which store this is."""


def quiet(_: int, __: int, ___: int) -> None:
    """For whoever does not want to know."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was written, or read."""

    path: Path
    header: Header
    manifest: Manifest
    seconds: float = 0.0
    files: tuple[Path, ...] = ()


@dataclass(slots=True)
class Draft:
    """A file on its way; it gets its name when it is whole."""

    header: Header
    writer: Writer
    told: Told = quiet
    total: int = 0
    tally: Tally = field(default_factory=Tally)
    gone: int = 0

    def section(self, source: Source) -> None:
        self.writer.add(Frame.SECTION, msgspec.json.encode([source.place, source.name]))

    async def documents(self, source: Source, block: bytes) -> None:
        """In a thread: hashing, compressing and sealing let the next batch come meanwhile."""
        await asyncio.to_thread(self._put, source, block)
        self.told(self.tally.documents, self.tally.bytes, self.total)

    def _put(self, source: Source, block: bytes) -> None:
        self.tally.add(source.place, source.name, split(block))
        self.writer.add(Frame.DOCUMENTS, block)

    def removed(self, block: bytes, count: int) -> None:
        self.writer.add(Frame.GONE, block)
        self.gone += count


Fill = Callable[[Draft], Awaitable[None]]


async def create(store: Store, kek: Kek, folder: Path, *, tenant: str = "", told: Told = quiet) -> Made:
    """Two files: everything but what seals, and the keys, which take the place of the keys of before."""
    check(store)
    started = monotonic()
    with explained():
        tokens = {place: await token(store, place) for place in await places(store, tenant)}
        async with store.snapshot() as session:
            moment = await first_look(store, session)
            every = await sources(store, tenant, tuple(tokens))
            header = await new_header(store, "full", tenant, moment, tokens)
            keys = await keys_kept(kek, folder, header, every, session)
            others = [each for each in every if not is_of_keys(each)]
            fill = _copying(others, session)
            made = await written(
                kek, folder, header, fill, keys=keys.manifest.documents, told=told, total=await counted(others)
            )
    return replace(made, seconds=monotonic() - started, files=(made.path, keys.path))


async def counted(every: Iterable[Source]) -> int:
    """About how many documents there are; of all, without looking at them."""
    counts = [
        each.collection.count_documents(each.scope) if each.scope else each.collection.estimated_document_count()
        for each in every
    ]
    return sum(await asyncio.gather(*counts))


def check(store: Store) -> None:
    if store.common.in_memory:
        raise StoreError("A store in memory ends with its process: there is nothing in it that a backup could keep.")


async def first_look(store: Store, session: Session) -> tuple[int, int]:
    """The moment of everything that is read in this session from now on."""
    await store.raw(store.common.name)[MIGRATIONS].find_one({}, session=session)
    seen: Any = session._snapshot_time  # the driver tells it nowhere else
    return seen.time, seen.inc


async def new_header(
    store: Store, kind: Kind, tenant: str, moment: tuple[int, int], tokens: Mapping[str, str], based_on: str = ""
) -> Header:
    """Without its key yet; `tokens` are older than the moment, so that the next increment misses nothing."""
    return Header(
        id=uuid4().hex,
        store=await store_id(store),
        kind=kind,
        tenant=tenant,
        created=datetime.now(UTC),
        moment=moment,
        places=tuple(tokens),
        layout=LAYOUT,
        by="",
        wrapped="",
        based_on=based_on,
        tokens=tokens,
    )


async def store_id(store: Store) -> str:
    """Given when first asked for. What is restored into another store is another store."""
    known = await store.common.migrations.find_one_and_update(
        {"_id": MARK}, {"$setOnInsert": {"store": uuid4().hex}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    return str(known["store"] if known else "")


async def keys_kept(kek: Kek, folder: Path, header: Header, every: list[Source], session: Session) -> Made:
    """The keys as they are at this moment, those of before included: they open older backups too."""
    of_keys = replace_struct(header, id=uuid4().hex, kind="keys", based_on="")
    return await written(kek, folder, of_keys, _copying([each for each in every if is_of_keys(each)], session))


def _copying(every: list[Source], session: Session) -> Fill:
    async def fill(draft: Draft) -> None:
        for source in every:
            draft.section(source)
            async for block in ahead(blocks(source, session)):
                await draft.documents(source, block)

    return fill


async def written(
    kek: Kek, folder: Path, header: Header, fill: Fill, *, keys: int = 0, told: Told = quiet, total: int = 0
) -> Made:
    """A file with a key of its own."""
    key = secrets.token_bytes(KEY_BYTES)
    sealed = await archive.wrapped(key, kek, header.id, header.tenant)
    header = replace_struct(header, by=kek.name, wrapped=sealed)
    path = folder / header.file_name
    with _becoming(path) as file:
        draft = Draft(header, Writer(file, key, header), told, total)
        await fill(draft)
        manifest = draft.tally.manifest(gone=draft.gone, keys=keys)
        draft.writer.add(Frame.MANIFEST, msgspec.json.encode(manifest))
        draft.writer.close()
    return Made(path, header, manifest)


@contextmanager
def _becoming(path: Path) -> Iterator[BinaryIO]:
    """Under another name until it is whole and on the disk; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


async def ahead(coming: AsyncIterator[T]) -> AsyncIterator[T]:
    """The next one is fetched while one is worked on."""
    following = asyncio.ensure_future(anext(coming, None))
    try:
        while (one := await following) is not None:
            following = asyncio.ensure_future(anext(coming, None))
            yield one
    finally:
        following.cancel()


_PASSED = (
    "MongoDB did not keep the moment of this backup for as long as it took. Make minSnapshotHistoryWindowInSeconds "
    "longer (it is 300 unless set), or back up tenant by tenant."
)
_CHANGED = "The collections of the store were changed while the backup was made. Please make it again."
_FORGOTTEN = "The oplog of the database does not reach back to the backup before: make a full backup."
_REASONS = {239: _PASSED, 246: _CHANGED, 136: _FORGOTTEN, 280: _FORGOTTEN, 286: _FORGOTTEN}
"""SnapshotTooOld, SnapshotUnavailable, CappedPositionLost, ChangeStreamFatalError, ChangeStreamHistoryLost.
https://www.mongodb.com/docs/manual/reference/error-codes/"""


@contextmanager
def explained() -> Iterator[None]:
    try:
        yield
    except OperationFailure as problem:
        raise StoreError(_REASONS.get(problem.code or 0, f"The database refused: {problem}")) from problem
    except PyMongoError as problem:
        raise StoreError(f"The database went away: {problem}") from problem
    except OSError as problem:
        raise StoreError(f"{problem.filename or 'The backup'}: {problem.strerror}.") from problem
