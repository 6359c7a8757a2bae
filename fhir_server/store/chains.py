"""The chain of one tenant and one process: what is recorded while a group is being written goes with the next one.

Events are stored first, then their entries, and only then is anybody told. An entry without its event would look like
a deletion; an event without its entry is found by the recovery. After any doubt the chain is read again before it goes
on, so that what was sent twice is stored once.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from fhir_server.crypto.chain import Entry, ending, opening
from fhir_server.fhir.outcome import FhirError, transient
from fhir_server.store.database import Database
from fhir_server.store.errors import DUPLICATE, GUARDED, outdated
from fhir_server.store.rows import Row, entry_in, entry_key, entry_of, milliseconds, stored_entry

log = logging.getLogger(__name__)

MAJORITY = ReadConcern("majority")

MOST = 1000
"""Events of a group."""
LANES = 2
"""Groups under way at a time."""
PATIENCE = 4.0
"""Seconds for an event to become durable; whoever waits longer is told that it did not."""
AGAIN = 0.1
"""Seconds before a group is tried again."""

AWAY = "The record of this request could not be stored, so it is not answered. Please send it again."


class Waiting(NamedTuple):
    """A row that is to be given an entry, and stored before, unless it is already."""

    row: Row
    done: asyncio.Future[None] | None
    stored: bool = False

    @property
    def wanted(self) -> bool:
        """Whoever was told no meanwhile has left no trace, and is not to leave one."""
        return self.done is None or not self.done.done()


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
        self._waiting: list[Waiting] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._running = 0
        self._turn = asyncio.Lock()
        self.used = asyncio.get_running_loop().time()

    async def add(self, row: Row) -> None:
        """Returns once the row and its entry are durable; who no longer waits leaves no trace, if there is time."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(row, done))
        self._start()
        await done

    def follow(self, rows: Iterable[Row]) -> None:
        """Entries for what a transaction has stored, as soon as may be."""
        self._waiting += [Waiting(row, None, stored=True) for row in rows]
        self._start()

    async def link(self, rows: Iterable[Row]) -> None:
        """The same, and waits for it."""
        loop = asyncio.get_running_loop()
        waiting = [Waiting(row, loop.create_future(), stored=True) for row in rows]
        self._waiting += waiting
        self._start()
        await asyncio.gather(*(each.done for each in waiting if each.done))

    async def settled(self) -> None:
        """When nothing is waiting any more."""
        while self._lanes:
            await asyncio.wait(self._lanes)

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

    def _start(self) -> None:
        self.used = asyncio.get_running_loop().time()
        if self._running < LANES:
            self._running += 1
            lane = asyncio.create_task(self._run())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _run(self) -> None:
        """Of two lanes one stores events while the other makes entries."""
        try:
            while self._waiting:
                await asyncio.sleep(0)  # Whoever is about to record something joins.
                taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._group([each for each in taken if each.wanted])
        finally:
            self._running -= 1  # Not when the task is seen to be done: who comes in between would wait for nobody.

    async def _group(self, group: list[Waiting]) -> None:
        """As often as there is time for; an outage ends with an error for those who wait."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while group:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._written(group)
                return
            except (PyMongoError, TimeoutError) as problem:
                if asyncio.get_running_loop().time() + AGAIN > deadline:
                    log.error("Events could not be recorded: %s", type(problem).__name__)
                    _fail(group)
                    return
            except Exception as problem:
                # Its text may be that of an event.
                log.error("Events could not be recorded: %s at %s", type(problem).__name__, _place(problem))
                _fail(group)
                return
            await asyncio.sleep(AGAIN)

    async def _written(self, group: list[Waiting]) -> None:
        refused = await self._stored([each.row for each in group if not each.stored])
        for each in group:
            if each.row.event in refused:
                _settle(each.done, outdated())
        kept = [each for each in group if each.row.event not in refused]
        async with self._turn:
            await self._chained([each.row for each in kept])
        for each in kept:
            _settle(each.done)

    async def _stored(self, rows: list[Row]) -> set[str]:
        """The ids of those that MongoDB refuses, as their index is of yesterday; what is there already is stored."""
        if not rows:
            return set()
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


def _place(problem: BaseException) -> str:
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _fail(group: Iterable[Waiting]) -> None:
    for each in group:
        _settle(each.done, transient(AWAY))


def _settle(done: asyncio.Future[None] | None, problem: FhirError | None = None) -> None:
    if done is None or done.done():
        return
    if problem is None:
        done.set_result(None)
    else:
        done.set_exception(problem)
