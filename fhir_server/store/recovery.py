"""What a process that died has left: a chain without an end, and events without an entry.

Times of both collections are those of the events, so that two counts say whether something is missing. Only what is
marked by this server is given an entry. What was there before a tenant had any checkpoint is taken in as it is.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.errors import DuplicateKeyError

from fhir_server.crypto import chain
from fhir_server.crypto.chain import Entry, ending
from fhir_server.store.chains import last_entry
from fhir_server.store.database import Database
from fhir_server.store.layout import AUDITED, Document, key_range
from fhir_server.store.rows import Row, is_marked, milliseconds, stored_entry

log = logging.getLogger(__name__)

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of one tenant."""

    place: Database
    tenant: str
    key: bytes

    async def closed(self, writer: str) -> None:
        """The end of the chain of a process that is silent, after its last durable entry; others may do so too."""
        last = await last_entry(self.place, self.tenant, writer)
        if last is not None and last.kind != "close":
            last = ending(last, milliseconds(datetime.now(UTC)))
            try:
                await self.place.audit_chain.insert_one(stored_entry(last, self.key))
            except DuplicateKeyError:
                return
        await register_end(self.place, self.tenant, writer, last)

    async def unchained(self, start: datetime, end: datetime, *, adopting: bool) -> AsyncIterator[list[Row]]:
        """Events of this time without an entry, in batches; the oldest first."""
        within = {"$gte": start, "$lt": end}
        rows = {"t": self.tenant, "rt": AUDITED, "lu": within}
        if await self._counts_agree(rows, within):
            return
        found: list[Document] = []
        async for document in self.place.audit.find(rows).sort([("lu", 1), ("id", 1)]).hint("lu"):
            found.append(document)
            if len(found) == BATCH:
                yield await self._rows(found, adopting)
                found = []
        yield await self._rows(found, adopting)

    async def unmarked(self) -> bool:
        """Whether there are events of an earlier release, which have no entry yet."""
        found = {"t": self.tenant, "rt": AUDITED, "mac": {"$exists": False}}
        if not await self.place.audit.find_one(found, {"_id": 1}):
            return False
        return await self.place.audit_checkpoints.find_one({"_id": key_range(self.tenant)}, {"_id": 1}) is None

    async def _counts_agree(self, rows: Document, within: Document) -> bool:
        """Versions that were superseded count as well."""
        stored = await self.place.audit.count_documents(rows, hint="lu")
        stored += await self.place.history.count_documents(rows, hint="lu")
        entered = {"t": self.tenant, "at": within, "e": {"$gt": ""}}
        return stored == await self.place.audit_chain.count_documents(entered, hint="event")

    async def _rows(self, documents: list[Document], adopting: bool) -> list[Row]:
        times = {"$in": sorted({each["lu"] for each in documents})}
        entered = {"t": self.tenant, "at": times, "e": {"$in": [each["id"] for each in documents]}}
        known = {(each["e"], each["v"]) async for each in self.place.audit_chain.find(entered, {"e": 1, "v": 1})}
        missing = [each for each in documents if (each["id"], each["v"]) not in known]
        return [row for row in [await self._row(each, adopting) for each in missing] if row is not None]

    async def _row(self, document: Document, adopting: bool) -> Row | None:
        """Nothing for one that this server has not written."""
        digest = chain.digest(await self.place.bodies.body(document))
        if is_marked(document, digest, self.key):
            return Row(document, document["id"], digest, "recovered" if "j" in document else "received")
        if adopting and "mac" not in document:
            return Row(document, document["id"], digest, "received")
        log.error("An AuditEvent of the tenant %s was not written by this server: %s.", self.tenant, document["id"])
        return None


async def register_end(place: Database, tenant: str, writer: str, last: Entry | None) -> None:
    """Where a chain ended; one that was registered and never begun is forgotten."""
    found = {"_id": f"{tenant}|{writer}"}
    if last is None:
        await place.audit_writers.delete_one(found)
    else:
        ended = {"closed": datetime.now(UTC), "s": last.seq, "h": last.hash}
        await place.audit_writers.update_one(found, {"$set": ended})
