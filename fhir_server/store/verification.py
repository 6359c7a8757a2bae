"""Whether what is recorded of a tenant is all there and as it was: checkpoints, chains, events, in streams.

First the checkpoints, against what is anchored outside; then each chain, entry by entry; then each event against its
entry, in the order of time; in the end every head that was ever signed, which shows what was cut off.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fhir_server.crypto import chain
from fhir_server.crypto.chain import Entry
from fhir_server.store import checkpoints, rows
from fhir_server.store.anchor import Anchored
from fhir_server.store.checkpoints import Checkpoint, checkpoint_in
from fhir_server.store.layout import AUDITED, Document, key
from fhir_server.store.recorded import Recorded

REACH = 120_000
"""Milliseconds before the last checkpoint from which on an event may still wait for its entry."""

CUT = "checkpoints from {} on are missing: they were deleted, or an older state of the database was restored"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: at an entry of a chain, at a checkpoint, or with an event."""

    what: str
    writer: str | None = None
    seq: int | None = None
    checkpoint: int | None = None
    event: str | None = None

    def __str__(self) -> str:
        places = {
            "writer": self.writer,
            "entry": self.seq,
            "checkpoint": self.checkpoint,
            "AuditEvent": self.event,
        }
        place = ", ".join(f"{name} {value}" for name, value in places.items() if value is not None)
        return f"{place}: {self.what}"


@dataclass(slots=True)
class Counts:
    """What was looked at; `waiting` events have no entry yet."""

    entries: int = 0
    events: int = 0
    checkpoints: int = 0
    anchored: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Verification:
    """Of one tenant; `keys` are its public keys by id, `secret` is what its entries are authenticated with."""

    recorded: Recorded
    tenant: str
    secret: bytes
    keys: Mapping[str, Mapping[str, Any]]
    anchored: Iterator[Anchored] = field(default_factory=lambda: iter(()))
    counts: Counts = field(default_factory=Counts)
    step: Callable[[], None] = lambda: None
    before: Entry | None = None
    """An entry that was verified already: the first chain goes on from there."""
    _settled: int = 0

    async def faults(self) -> AsyncIterator[Fault]:
        for phase in (self._checkpoints, self._chains, self._events, self._heads):
            async for found in phase():
                yield found

    async def _checkpoints(self) -> AsyncIterator[Fault]:
        before: Checkpoint | None = None
        anchor = next(self.anchored, None)
        async for document in self.recorded.checkpoints():
            self.counts.checkpoints += 1
            found = _checkpoint(document, self.tenant)
            what = "it was changed" if found is None else checkpoints.fault(found, before, self.keys)
            if what is not None or found is None:
                yield Fault(what or "", checkpoint=document.get("n"))
                return
            while anchor is not None and anchor.checkpoint <= found.number:
                if anchor.checkpoint == found.number and anchor.hash != found.hash.hex():
                    yield Fault("it is another one than was anchored", checkpoint=found.number)
                self.counts.anchored += 1
                anchor = next(self.anchored, None)
            before, self._settled = found, found.at - REACH
        if anchor is not None:
            yield Fault(CUT.format(anchor.checkpoint), checkpoint=anchor.checkpoint)

    async def _chains(self) -> AsyncIterator[Fault]:
        ends = await self.recorded.ends()
        before = self.before
        async for document in self.recorded.entries():
            self.counts.entries += 1
            self.step()
            if before is not None and document.get("w") != before.writer:
                for found in _ended(before, ends):
                    yield found
                before = None
            entry = _entry(document, self.tenant, self.secret)
            what = "it was changed" if entry is None else chain.fault(entry, document["mac"], before, self.secret)
            if what is not None or entry is None:
                yield Fault(what or "", document.get("w"), document.get("s"))
                return
            before = entry
        for found in _ended(before, ends):
            yield found

    async def _events(self) -> AsyncIterator[Fault]:
        async for document, entries in side_by_side(self.recorded.events(), self.recorded.entries_by_time()):
            self.counts.events += document is not None
            self.step()
            found = await self._event(document, entries)
            if found is not None:
                yield found

    async def _event(self, document: Document | None, entries: list[Document]) -> Fault | None:
        """The event of a time and id, and its entries: one, or two where an outage left that in doubt."""
        if not entries:
            return self._alone(document or {})
        entry = entries[0]
        if sum(each["k"] == "event" for each in entries) > 1:
            return Fault("its event has two entries", entry["w"], entry["s"], event=entry["e"])
        found = document or await self.recorded.version(entry["e"], entry["v"])
        if found is None:
            return Fault("its event is missing", entry["w"], entry["s"], event=entry["e"])
        body = await self.recorded.body(found)
        if not all(self._agrees(found, body, each) for each in entries):
            return Fault("its event was changed", entry["w"], entry["s"], event=entry["e"])
        return None

    def _agrees(self, document: Document, body: bytes, entry: Document) -> bool:
        """The content, and what is stored about it."""
        current = key(self.tenant, AUDITED, entry["e"])
        named = document["_id"] in (current, f"{current}|{entry['v']}")
        about = (document["t"], document["rt"], document["id"], document["v"], rows.at(document))
        told = (self.tenant, AUDITED, entry["e"], entry["v"], rows.milliseconds(_zoned(entry["at"])))
        deleted = (document["m"] == "DELETE") == document["del"] == (not body)
        return named and about == told and deleted and chain.digest(body) == entry["g"]

    def _alone(self, document: Document) -> Fault | None:
        """An event without an entry: for a while it may wait for one, if this server has written it."""
        found = chain.digest(document["body"])
        marked = rows.is_marked(document, found, self.secret) or (not self._settled and "mac" not in document)
        if marked and rows.at(document) >= self._settled:
            self.counts.waiting += 1
            return None
        what = "it is in no chain" if marked else "it is in no chain, and was not written by this server"
        return Fault(what, event=document["id"])

    async def _heads(self) -> AsyncIterator[Fault]:
        """Every entry that a checkpoint stands on."""
        signed: dict[str, tuple[int, bytes]] = {}
        async for document in self.recorded.checkpoints():
            heads = {writer: (seq, bytes(head)) for writer, seq, head in document["heads"]}
            moved = {writer: head for writer, head in heads.items() if signed.get(writer) != head}
            found = await self.recorded.hashes(moved)
            for writer, (seq, head) in moved.items():
                if found.get((writer, seq)) != head:
                    yield Fault(f"checkpoint {document['n']} stands on it, and it is missing", writer, seq)
            signed = heads


async def side_by_side(
    documents: AsyncIterable[Document], entries: AsyncIterable[Document]
) -> AsyncIterator[tuple[Document | None, list[Document]]]:
    """Events and their entries, both in the order of time and id."""
    waiting = aiter(entries)
    entry = await anext(waiting, None)
    async for document in documents:
        place = (_zoned(document["lu"]), document["id"])
        while entry is not None and _place(entry) < place:
            yield None, [entry]
            entry = await anext(waiting, None)
        found: list[Document] = []
        while entry is not None and _place(entry) == place:
            found.append(entry)
            entry = await anext(waiting, None)
        yield document, found
    while entry is not None:
        yield None, [entry]
        entry = await anext(waiting, None)


def _place(entry: Document) -> tuple[datetime, str]:
    return _zoned(entry["at"]), entry["e"]


def _zoned(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _entry(document: Document, tenant: str, secret: bytes) -> Entry | None:
    """As it is stored, to the last field; else nothing."""
    try:
        entry = rows.entry_in(document)
        kept = {**document, "at": _zoned(document["at"])}
        good = entry.tenant == tenant and rows.stored_entry(entry, secret) | {"mac": document["mac"]} == kept
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return entry if good else None


def _checkpoint(document: Document, tenant: str) -> Checkpoint | None:
    try:
        found = checkpoint_in(document)
        kept = {**document, "at": _zoned(document["at"])}
        return found if found.tenant == tenant and checkpoints.stored(found) == kept else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _ended(last: Entry | None, ends: Mapping[str, tuple[int, bytes]]) -> Iterator[Fault]:
    """A chain that was closed goes as far as its end."""
    if last is not None and last.writer in ends and ends[last.writer] != (last.seq, last.hash):
        seq = ends[last.writer][0]
        yield Fault(f"the chain ends at entry {last.seq}, and was closed at {seq}", last.writer, last.seq + 1)
