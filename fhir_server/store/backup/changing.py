"""An increment: what has changed since another backup, as it is at one later moment.

Change streams tell which documents were touched, for as long as the oplog reaches back; these are read at the moment of
the increment, so a document that was changed a thousand times is in it once, and nothing is replayed.
https://www.mongodb.com/docs/manual/changeStreams/
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from fhir_server.store.backup.archive import Header, frames, key_of, read_header
from fhir_server.store.backup.creating import (
    LAYOUT,
    Draft,
    Fill,
    Made,
    Told,
    check,
    explained,
    first_look,
    keys_kept,
    new_header,
    quiet,
    store_id,
    written,
)
from fhir_server.store.backup.marks import events, is_mark, mark, token
from fhir_server.store.backup.sources import CHUNKS, Source, blocks, is_of_keys, places, sources
from fhir_server.store.backup.tally import split
from fhir_server.store.backup.verifying import listed
from fhir_server.store.connection import Store
from fhir_server.store.database import Session
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import Kek

AT_ONCE = 1_000
"""Keys that are gathered before they are read."""

TOUCHED = ("insert", "update", "replace", "delete")
"""Other events are about whole collections: an increment could not say them."""


async def increment(store: Store, kek: Kek, folder: Path, since: Path, *, told: Told = quiet) -> Made:
    """Goes on from another backup, full or itself an increment; from the newest of the whole store in a folder."""
    check(store)
    started = monotonic()
    before = await _before(store, kek, await _newest(store, since) if await asyncio.to_thread(since.is_dir) else since)
    with explained():
        tokens = {place: await token(store, place) for place in before.places}
        async with store.snapshot() as session:
            moment = await first_look(store, session)
            every = await sources(store, before.tenant, before.places)
            header = await new_header(store, "increment", before.tenant, moment, tokens, before.id)
            keys = await keys_kept(kek, folder, header, every, session)
            fill = _changes(store, before, every, session)
            made = await written(kek, folder, header, fill, keys=keys.manifest.documents, told=told)
    return replace(made, seconds=monotonic() - started, files=(made.path, keys.path))


async def _newest(store: Store, folder: Path) -> Path:
    own = await store_id(store)
    found = [(path, each) for path, each in listed(folder) if each.store == own and not each.tenant]
    made = [(header.moment, path) for path, header in found if header.kind != "keys"]
    if not made:
        raise StoreError(f"There is no backup of this store in {folder} that an increment could go on from.")
    return max(made)[1]


async def _before(store: Store, kek: Kek, since: Path) -> Header:
    """Its header, once its first chunk has proven it."""
    header = read_header(since)
    next(frames(since, await key_of(header, kek, since)))
    if header.kind == "keys" or header.store != await store_id(store):
        raise StoreError(f"{since.name} is no backup of this store that an increment could go on from.")
    if header.layout != LAYOUT or header.places != await places(store, header.tenant):
        raise StoreError(f"Since {since.name} the layout or the databases of tenants have changed: make a full backup.")
    return header


def _changes(store: Store, before: Header, every: list[Source], session: Session) -> Fill:
    known = {(each.place, each.name): each for each in every if not is_of_keys(each)}

    async def fill(draft: Draft) -> None:
        for place in before.places:
            async with aclosing(_touched(store, place, before)) as batches:
                async for touched in batches:
                    for name, keys in touched.items():
                        if (place, name) in known:
                            await _read(draft, known[place, name], keys, session)

    return fill


async def _touched(store: Store, place: str, before: Header) -> AsyncGenerator[dict[str, set[Any]]]:
    """Keys by collection, in batches, up to a mark that was made after the moment of the increment."""
    gathered: dict[str, set[Any]] = defaultdict(set)
    async with events(store, place, before.tokens[place]) as stream, mark(store, place) as end:
        async for event in stream:
            if event["operationType"] not in TOUCHED:
                raise StoreError(f"A collection was changed as a whole ({event['operationType']}): make a full backup.")
            if is_mark(event, end):
                break
            name, key = event["ns"]["coll"], event["documentKey"]["_id"]
            if _concerns(before.tenant, name, key, event.get("body")):
                gathered[name].add(key)
            if sum(map(len, gathered.values())) >= AT_ONCE:
                yield gathered
                gathered = defaultdict(set)
    yield gathered


def _concerns(tenant: str, collection: str, key: Any, body: str | None) -> bool:
    """Of which tenant a part of a large body was is not known once it is deleted: its key says nothing."""
    if not tenant:
        return True
    if collection == CHUNKS:
        return body is None or body.partition("|")[0] == tenant
    return str(key).partition("|")[0] == tenant


async def _read(draft: Draft, source: Source, keys: set[Any], session: Session) -> None:
    missing = set(keys)
    draft.section(source)
    async for block in blocks(source, session, {"_id": {"$in": list(keys)}}):
        missing -= keys_of(split(block))
        await draft.documents(source, block)
    if missing:
        draft.removed(b"".join(bson.encode({"_id": each}) for each in missing), len(missing))


def keys_of(documents: Iterable[bytes]) -> set[Any]:
    return {RawBSONDocument(each)["_id"] for each in documents}
