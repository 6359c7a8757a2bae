"""A copy of what is recorded of a tenant, and twelve ways to tamper with it that who has the database has."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fhir_server.crypto import chain
from fhir_server.crypto.chain import Entry
from fhir_server.store import checkpoints, rows
from fhir_server.store.anchor import Anchored
from fhir_server.store.checkpoints import checkpoint_in
from fhir_server.store.connection import Store
from fhir_server.store.layout import Document

MARGIN = 3
"""Entries around the place that was tampered with."""


@dataclass
class Copy:
    """Documents by key; `anchored` is not in the database, and nobody tampers with it."""

    tenant: str
    secret: bytes
    keys: dict[str, Any]
    anchored: list[Anchored]
    audit: dict[str, Document] = field(default_factory=dict)
    chain: dict[str, Document] = field(default_factory=dict)
    writers: dict[str, Document] = field(default_factory=dict)
    checkpoints: dict[str, Document] = field(default_factory=dict)

    def changed(self) -> Copy:
        """To be tampered with; documents are replaced in it, never changed."""
        parts = (self.audit, self.chain, self.writers, self.checkpoints)
        return Copy(self.tenant, self.secret, self.keys, self.anchored, *(dict(each) for each in parts))


async def copied(store: Store, tenant: str, anchored: list[Anchored]) -> Copy:
    place = store.common
    keys = {each.kid: each.public for each in await store.keys.attesting(tenant)}
    found = Copy(tenant, await store.keys.witness(tenant), keys, anchored)
    for name in ("audit", "chain", "writers", "checkpoints"):
        collection = getattr(place, "audit" if name == "audit" else f"audit_{name}")
        async for document in collection.find({"t": tenant}):
            getattr(found, name)[document["_id"]] = document
    return found


class Read:
    """What `Recorded` reads from a database, from a copy; of a stretch of it, where one is given."""

    def __init__(self, copy: Copy, keys: slice = slice(None), places: slice = slice(None), of: Sorted | None = None):
        """`of` is what the copy was made of: then only what differs is put in order again."""
        self.copy = copy
        every = sorted(copy.chain)
        self._entries = [copy.chain[key] for key in every[keys]]
        self._cut = set() if keys.stop is None else {copy.chain[key]["w"] for key in every[keys.stop :][:1]}
        entries = copy.chain if of is None else of.near(copy.chain, of.copy.chain, of.by_time[places])
        events = copy.audit if of is None else of.near(copy.audit, of.copy.audit, of.events[places])
        self._by_time = sorted((each for each in entries.values() if each["e"]), key=_when)
        self._events = sorted(events.values(), key=_stored)

    async def entries(self) -> AsyncIterator[Document]:
        for each in self._entries:
            yield each

    async def entries_by_time(self) -> AsyncIterator[Document]:
        for each in self._by_time:
            yield each

    async def events(self) -> AsyncIterator[Document]:
        for each in self._events:
            if (each["t"], each["rt"]) == (self.copy.tenant, "AuditEvent"):
                yield each

    async def checkpoints(self) -> AsyncIterator[Document]:
        for key in sorted(self.copy.checkpoints):
            yield self.copy.checkpoints[key]

    async def version(self, event: str, version: int) -> Document | None:
        found = self.copy.audit.get(f"{self.copy.tenant}|AuditEvent|{event}")
        return found if found and found["v"] == version else None

    async def body(self, document: Document) -> bytes:
        return bytes(document["body"])

    async def hashes(self, heads: dict[str, tuple[int, bytes]]) -> dict[tuple[str, int], bytes]:
        keys = {(writer, seq): rows.entry_key(self.copy.tenant, writer, seq) for writer, (seq, _) in heads.items()}
        return {place: self.copy.chain[key]["h"] for place, key in keys.items() if key in self.copy.chain}

    async def ends(self) -> dict[str, tuple[int, bytes]]:
        closed = [each for each in self.copy.writers.values() if "closed" in each and each["w"] not in self._cut]
        return {each["w"]: (each["s"], each["h"]) for each in closed}


def _when(entry: Document) -> tuple[Any, str]:
    return entry["at"], entry["e"]


def _stored(document: Document) -> tuple[Any, str]:
    return document["lu"], document["id"]


@dataclass
class Sorted:
    """What is recorded, in order, before anybody has tampered with it."""

    copy: Copy
    keys: list[str]
    entries: list[Entry]
    by_time: list[str]
    events: list[str]
    times: list[tuple[Any, str]]

    @classmethod
    def of(cls, copy: Copy) -> Sorted:
        keys = sorted(copy.chain)
        entries = [rows.entry_in(copy.chain[key]) for key in keys]
        by_time = sorted((key for key in keys if copy.chain[key]["e"]), key=lambda key: _when(copy.chain[key]))
        events = sorted(copy.audit, key=lambda key: _stored(copy.audit[key]))
        return cls(copy, keys, entries, by_time, events, [_stored(copy.audit[key]) for key in events])

    @staticmethod
    def near(found: dict[str, Document], before: dict[str, Document], keys: list[str]) -> dict[str, Document]:
        """Those of these keys that are still there, and all that was changed or added."""
        kept = {key: found[key] for key in keys if key in found}
        return kept | {key: each for key, each in found.items() if before.get(key) is not each}


Tampering = Callable[[Copy, Document, random.Random], None]
"""With the entry of an event, and all that belongs to it."""


def event_of(copy: Copy, entry: Document) -> Document:
    return copy.audit[f"{copy.tenant}|AuditEvent|{entry['e']}"]


def edit_a_field(copy: Copy, entry: Document, chance: random.Random) -> None:
    event = event_of(copy, entry)
    body = event["body"].replace(b'"action":"R"', b'"action":"D"')
    changes = ({"body": body}, {"lu": event["lu"] + timedelta(hours=1)}, {"del": True}, {"m": "DELETE"}, {"v": 2})
    copy.audit[event["_id"]] = {**event, **chance.choice(changes)}


def edit_and_hash_again(copy: Copy, entry: Document, chance: random.Random) -> None:
    event = event_of(copy, entry)
    body = event["body"].replace(b'"action":"R"', b'"action":"D"')
    copy.audit[event["_id"]] = {**event, "body": body}
    changed = {**entry, "g": chain.digest(body)}
    copy.chain[entry["_id"]] = {**changed, "h": rows.entry_in(changed).expected}


def delete_in_the_middle(copy: Copy, entry: Document, chance: random.Random) -> None:
    del copy.chain[entry["_id"]]
    del copy.audit[event_of(copy, entry)["_id"]]


def delete_the_tail(copy: Copy, entry: Document, chance: random.Random) -> None:
    """With the registration of the writer set back to where the chain now ends."""
    later = [each for each in copy.chain.values() if each["w"] == entry["w"] and each["s"] >= entry["s"]]
    _delete(copy, later)
    key = f"{copy.tenant}|{entry['w']}"
    copy.writers[key] = {name: value for name, value in copy.writers[key].items() if name not in ("closed", "s", "h")}


def delete_a_writer(copy: Copy, entry: Document, chance: random.Random) -> None:
    _delete(copy, [each for each in copy.chain.values() if each["w"] == entry["w"]])
    del copy.writers[f"{copy.tenant}|{entry['w']}"]


def _delete(copy: Copy, entries: list[Document]) -> None:
    for each in entries:
        del copy.chain[each["_id"]]
        copy.audit.pop(f"{copy.tenant}|AuditEvent|{each['e']}", None)


def swap_two(copy: Copy, entry: Document, chance: random.Random) -> None:
    """Each takes the number of the other, with codes that were right for what they were."""
    others = [f"{copy.tenant}|{entry['w']}|{entry['s'] + step:012}" for step in (-1, 1)]
    other = next(copy.chain[key] for key in others if key in copy.chain and copy.chain[key]["e"])
    copy.chain[entry["_id"]] = {**other, "_id": entry["_id"], "s": entry["s"]}
    copy.chain[other["_id"]] = {**entry, "_id": other["_id"], "s": other["s"]}


def insert_a_forged_one(copy: Copy, entry: Document, chance: random.Random) -> None:
    """An event that never was; with an entry of its own at the end of the chain, or without."""
    event = event_of(copy, entry)
    forged = {**event, "_id": f"{copy.tenant}|AuditEvent|forged", "id": "forged"}
    copy.audit[forged["_id"]] = forged
    if chance.random() < 0.5:
        last = max((each for each in copy.chain.values() if each["w"] == entry["w"]), key=lambda each: each["s"])
        new = {**entry, "_id": rows.entry_key(copy.tenant, entry["w"], last["s"] + 1), "s": last["s"] + 1}
        new |= {"e": "forged", "p": last["h"]}
        copy.chain[new["_id"]] = {**new, "h": rows.entry_in(new).expected}


def fork(copy: Copy, entry: Document, chance: random.Random) -> None:
    """A second entry of the same number."""
    copy.chain[f"{entry['_id']}a"] = {**entry, "_id": f"{entry['_id']}a", "e": "another"}


def move_to_another_tenant(copy: Copy, entry: Document, chance: random.Random) -> None:
    event = event_of(copy, entry)
    del copy.audit[event["_id"]]
    copy.audit[f"other|AuditEvent|{entry['e']}"] = {**event, "_id": f"other|AuditEvent|{entry['e']}", "t": "other"}


def restore_an_older_state(copy: Copy, entry: Document, chance: random.Random) -> None:
    """All as it was at an earlier checkpoint."""
    kept = sorted(copy.checkpoints)[: chance.randrange(len(copy.checkpoints))]
    heads = {writer: seq for key in kept for writer, seq, _ in copy.checkpoints[key]["heads"]}
    copy.checkpoints = {key: copy.checkpoints[key] for key in kept}
    _delete(copy, [each for each in copy.chain.values() if each["s"] > heads.get(each["w"], -1)])
    registered = {key: each for key, each in copy.writers.items() if each["w"] in heads}
    copy.writers = {key: {**each, "closed": None} for key, each in registered.items()}
    for each in copy.writers.values():
        del each["closed"]


def edit_a_checkpoint(copy: Copy, entry: Document, chance: random.Random) -> None:
    """One number, with the hashes made again or not."""
    key = chance.choice(sorted(copy.checkpoints))
    document = deepcopy(copy.checkpoints[key])
    change = chance.choice(("entries", "heads", "at"))
    if change == "heads":
        document["heads"][0][1] -= 1
    else:
        document[change] += 1 if change == "entries" else timedelta(seconds=1)
    if chance.random() < 0.5:
        document = checkpoints.stored(checkpoint_in(document))
    copy.checkpoints[key] = document


def delete_the_last_checkpoints(copy: Copy, entry: Document, chance: random.Random) -> None:
    for key in sorted(copy.checkpoints)[-chance.randint(1, len(copy.checkpoints)) :]:
        del copy.checkpoints[key]


CLASSES: tuple[Tampering, ...] = (
    edit_a_field,
    edit_and_hash_again,
    delete_in_the_middle,
    delete_the_tail,
    delete_a_writer,
    swap_two,
    insert_a_forged_one,
    fork,
    move_to_another_tenant,
    restore_an_older_state,
    edit_a_checkpoint,
    delete_the_last_checkpoints,
)


def stretch(places: Sorted, copy: Copy, entry: Document) -> tuple[slice, slice, Sorted, Entry | None]:
    """Around an entry or, in the chain, one that was added: keys, places in time, what is before the first of them."""
    added = [key for key in copy.chain if key not in places.copy.chain]
    at = bisect_left(places.keys, added[0]) - 1 if added else bisect_left(places.keys, entry["_id"])
    first = max(0, at - MARGIN)
    before = places.entries[first - 1] if first else None
    if before is not None and before.writer != places.entries[at].writer:
        first, before = bisect_left(places.keys, f"{entry['t']}|{places.entries[at].writer}"), None
    when = bisect_right(places.times, _when(entry))
    return slice(first, at + MARGIN + 1), slice(max(0, when - MARGIN - 1), when + MARGIN), places, before
