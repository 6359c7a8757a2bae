"""What is recorded of one tenant, read in order: nothing of it is ever held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_server.store.database import Database
from fhir_server.store.layout import AUDITED, Document, key, key_range, version_key
from fhir_server.store.rows import entry_key

KEPT = dict.fromkeys(("t", "rt", "id", "v", "lu", "m", "del", "body", "file", "mac", "j"), 1)
"""Of an event: what its entry stands for, and not its index."""
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Recorded:
    place: Database
    tenant: str

    async def count(self) -> int:
        """Entries and events, about."""
        own = {"t": self.tenant}
        return await self.place.audit_chain.count_documents(own) + await self.place.audit.count_documents(own)

    async def checkpoints(self) -> AsyncIterator[Document]:
        found = self.place.audit_checkpoints.find({"_id": key_range(self.tenant)})
        async for each in found.sort([("_id", 1)]).batch_size(BATCH):
            yield each

    async def entries(self) -> AsyncIterator[Document]:
        """Chain after chain, each by number."""
        found = self.place.audit_chain.find({"_id": key_range(self.tenant)})
        async for each in found.sort([("_id", 1)]).batch_size(BATCH):
            yield each

    async def entries_by_time(self) -> AsyncIterator[Document]:
        """Those of events, by the time and the id of the event."""
        found = self.place.audit_chain.find(
            {"t": self.tenant}, {"at": 1, "e": 1, "v": 1, "g": 1, "k": 1, "w": 1, "s": 1}
        )
        async for each in found.sort([("at", 1), ("e", 1)]).hint("event").batch_size(BATCH):
            if each["e"]:
                yield each

    async def events(self) -> AsyncIterator[Document]:
        """Current versions by time and id."""
        found = self.place.plain_audit.find({"t": self.tenant, "rt": AUDITED}, KEPT)
        async for each in found.sort([("lu", 1), ("id", 1)]).hint("lu").batch_size(BATCH):
            yield each

    async def several(self, entries: Sequence[Document]) -> dict[tuple[str, int], Document]:
        """The events of these entries, by id and version, as far as they are current."""
        keys = [key(self.tenant, AUDITED, each["e"]) for each in entries if each["e"]]
        found = self.place.plain_audit.find({"_id": {"$in": keys}}, KEPT)
        return {(each["id"], each["v"]): each async for each in found}

    async def newest(self, after: datetime | None, most: int) -> list[Document]:
        """The last events, or the next ones from a time on; in the order of time."""
        own: Document = {"t": self.tenant, "rt": AUDITED, **({"lu": {"$gte": after}} if after else {})}
        way = 1 if after else -1
        found = self.place.plain_audit.find(own, KEPT).sort([("lu", way), ("id", way)]).hint("lu").limit(most)
        return (await found.to_list())[::way]

    async def version(self, event: str, version: int) -> Document | None:
        """One that is current or superseded."""
        current = key(self.tenant, AUDITED, event)
        found = await self.place.plain_audit.find_one({"_id": current, "v": version}, KEPT)
        return found or await self.place.history.find_one({"_id": version_key(current, version)}, KEPT)

    async def body(self, document: Document) -> bytes:
        return await self.place.bodies.body(document)

    async def hashes(self, heads: Mapping[str, tuple[int, bytes]]) -> dict[tuple[str, int], bytes]:
        """Of the entries of these numbers, as far as they are there."""
        keys = [entry_key(self.tenant, writer, seq) for writer, (seq, _) in heads.items()]
        found = self.place.audit_chain.find({"_id": {"$in": keys}}, {"w": 1, "s": 1, "h": 1})
        return {(each["w"], each["s"]): bytes(each["h"]) async for each in found}

    async def ends(self) -> dict[str, tuple[int, bytes]]:
        """Where chains were closed."""
        found = self.place.audit_writers.find({"_id": key_range(self.tenant), "closed": {"$exists": True}})
        return {each["w"]: (each["s"], bytes(each["h"])) async for each in found}
