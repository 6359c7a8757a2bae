"""The chain of one tenant and one process: events are stored, and then given their entries.

Whoever records an event is told once it is durable; its entry follows within moments. An entry without its event would
look like a deletion; an event without its entry is found by the recovery. Where entries do not follow as they should,
nobody is told before they do. After any doubt the chain is read again before it goes on, so that what was sent twice is
stored once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from fhir_server.crypto.chain import Entry, ending, opening
from fhir_server.store.database import Database
from fhir_server.store.errors import DUPLICATE, GUARDED, outdated
from fhir_server.store.grouped import Grouped, Waiting, settle
from fhir_server.store.rows import Row, entry_in, entry_key, entry_of, milliseconds, stored_entry

MAJORITY = ReadConcern("majority")

PAUSE = 0.05
"""Seconds in which the entries of several groups of events come together."""


class Chain:
    """Writes; `head` is the last entry that is known to be durable."""

    def __init__(self, place: Database, tenant: str, key: bytes, process: str) -> None:
        self.tenant = tenant
        self.head: Entry | None = None
        self.place = place
        self.key = key
        self._process = process
        self._doubt = False
        self._tried: Sequence[Entry] = ()
        self._landed: set[str] = set()
        """Events that have an entry though the answer to it was lost."""
        self._events = Grouped(self._recorded)
        self._entries = Grouped(self._entered, PAUSE)
        self.used = asyncio.get_running_loop().time()

    async def add(self, row: Row) -> None:
        """Returns once the row is durable; who no longer waits leaves no trace, if there is time."""
        loop = asyncio.get_running_loop()
        self.used = loop.time()
        done: asyncio.Future[None] = loop.create_future()
        self._events.put([Waiting(row, done)])
        await done

    def follow(self, rows: Iterable[Row]) -> None:
        """Entries for what a transaction has stored, as soon as may be."""
        self.used = asyncio.get_running_loop().time()
        self._entries.put([Waiting(row, stored=True) for row in rows])

    async def link(self, rows: Iterable[Row]) -> None:
        """The same, and waits for it."""
        loop = asyncio.get_running_loop()
        self.used = loop.time()
        waiting = [Waiting(row, loop.create_future(), stored=True) for row in rows]
        self._entries.put(waiting)
        await asyncio.gather(*(each.done for each in waiting if each.done))

    async def settled(self) -> None:
        """When nothing is waiting any more."""
        await self._events.settled()
        await self._entries.settled()

    async def close(self) -> None:
        """The end of the chain: what comes after it was not written by this process."""
        await self.settled()
        if self._doubt:
            await self._resume()
        if self.head is None:
            return
        try:
            await self._linked([ending(self.head, milliseconds(datetime.now(UTC)))])
        except BulkWriteError:
            return  # Another process took this one for dead and has closed it.
        ended = {"closed": datetime.now(UTC), "s": self.head.seq, "h": self.head.hash}
        await self.place.audit_writers.update_one({"_id": f"{self.tenant}|{self.head.writer}"}, {"$set": ended})
        self.head = None  # Whatever comes late begins another one.

    async def _recorded(self, group: list[Waiting]) -> None:
        refused = await self._stored([each.row for each in group])
        for each in group:
            if each.row.event in refused:
                settle(each.done, outdated())
        kept = [Waiting(each.row, each.done, stored=True) for each in group if each.row.event not in refused]
        if not self._entries.late:
            for each in kept:
                settle(each.done)
        self._entries.put(kept)

    async def _entered(self, group: list[Waiting]) -> None:
        await self._chained([each.row for each in group])
        for each in group:
            settle(each.done)

    async def _stored(self, rows: list[Row]) -> set[str]:
        """The ids of those that MongoDB refuses, as their index is of yesterday; what is there already is stored."""
        try:
            await self.place.audit.insert_many([row.document for row in rows], ordered=False)
        except BulkWriteError as problem:
            errors = problem.details["writeErrors"]
            if problem.details.get("writeConcernErrors") or any(
                each["code"] not in (DUPLICATE, GUARDED) for each in errors
            ):
                raise
            return {rows[each["index"]].event for each in errors if each["code"] == GUARDED}
        return set()

    async def _chained(self, rows: list[Row]) -> None:
        if self._doubt:
            await self._resume()
        head = self.head or await self._opened()
        entries: list[Entry] = []
        for row in rows:
            if row.event not in self._landed:
                head = entry_of(row, head)
                entries.append(head)
        await self._linked(entries)
        self._landed.difference_update([row.event for row in rows])

    async def _linked(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._tried, self._doubt = entries, True
        documents = [stored_entry(each, self.key) for each in entries]
        await self.place.audit_chain.insert_many(documents, ordered=True)
        self.head, self._tried, self._doubt = entries[-1], (), False

    async def _resume(self) -> None:
        """Where the chain stands: at the head that is known, or at an entry that was tried and is there.

        One that goes on otherwise was closed by another process: the next entry begins a new one.
        """
        tried, self._tried = self._tried, ()
        if self.head is not None:
            later = await entries_after(self.place, self.head)
            self._landed |= {each.event for each in later if each in tried}
            self.head = None if any(each not in tried for each in later) else (later or [self.head])[-1]
        self._doubt = False

    async def _opened(self) -> Entry:
        """A chain of its own for this process, registered before its first entry."""
        now = datetime.now(UTC)
        writer = uuid4().hex
        registered = {"t": self.tenant, "w": writer, "p": self._process, "opened": now, "live": True}
        await self.place.audit_writers.insert_one({"_id": f"{self.tenant}|{writer}", **registered})
        first = opening(self.tenant, writer, milliseconds(now))
        await self.place.audit_chain.insert_one(stored_entry(first, self.key))
        self.head = first
        return first


async def entries_after(place: Database, head: Entry) -> list[Entry]:
    """Only what stays, whatever happens to the primary."""
    after = entry_key(head.tenant, head.writer, head.seq)
    found = place.audit_chain.with_options(read_concern=MAJORITY).find(
        {"_id": {"$gt": after, "$lt": f"{head.tenant}|{head.writer}}}"}}
    )
    return [entry_in(each) async for each in found.sort([("_id", 1)])]


async def last_entry(place: Database, tenant: str, writer: str) -> Entry | None:
    found = {"_id": {"$gte": entry_key(tenant, writer, 0), "$lt": f"{tenant}|{writer}}}"}}
    documents = await place.audit_chain.find(found).sort([("_id", -1)]).limit(1).to_list()
    return entry_in(documents[0]) if documents else None
