"""Signs of life of the processes that record events: how often each has beaten, and where its chains stand.

A beat is a number that grows, and who watches uses a clock of its own: clocks of machines need not agree.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from fhir_server.store.database import Collection
from fhir_server.store.layout import Document, key_range

BEAT = 1.0
"""Seconds between two signs of life."""
SILENT = 10.0
"""Seconds without one after which a process counts as dead."""
TURN = timedelta(seconds=5)
"""How long one process looks after the chains of all, unless it goes on to."""

Heads = Mapping[str, tuple[str, int, bytes]]
"""By tenant: writer, number of the last entry, its hash."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Of all of a store; their keys belong to no tenant."""

    collection: Collection

    async def beat(self, process: str, heads: Heads) -> None:
        """Also the first one; `heads` are those that have moved since the beat before."""
        moved = {f"heads.{tenant}": list(head) for tenant, head in heads.items()}
        known = {"p": process, "host": socket.gethostname(), "pid": os.getpid(), "started": datetime.now(UTC)}
        change: Document = {"$inc": {"beat": 1}, "$setOnInsert": known, **({"$set": moved} if moved else {})}
        await self.collection.update_one({"_id": _key(process)}, change, upsert=True)

    async def ended(self, process: str) -> None:
        await self.collection.delete_one({"_id": _key(process)})

    async def all(self) -> list[Document]:
        return await self.collection.find({"_id": key_range("")}).sort([("_id", 1)]).to_list()

    async def turn(self, process: str) -> bool:
        """Whether this process is the one that looks after all chains for now."""
        now = datetime.now(UTC)
        free = {"_id": "keeper", "$or": [{"owner": process}, {"until": {"$lt": now}}]}
        try:
            found = await self.collection.find_one_and_update(
                free,
                {"$set": {"owner": process, "until": now + TURN}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return False
        return found is not None


@dataclass(slots=True)
class Watch:
    """Who has not given a sign of life for too long, by the clock of whoever watches."""

    silent: float = SILENT
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def dead(self, processes: list[Document]) -> list[str]:
        now = monotonic()
        seen: dict[str, tuple[int, float]] = {}
        for each in processes:
            before = self._seen.get(each["p"])
            same = before is not None and before[0] == each["beat"]
            seen[each["p"]] = before if same and before else (each["beat"], now)
        self._seen = seen
        return [process for process, (_, since) in seen.items() if now - since > self.silent]


def heads_of(processes: list[Document], tenant: str) -> dict[str, tuple[int, bytes]]:
    """By writer, as the processes last said themselves."""
    told: list[Any] = [each["heads"][tenant] for each in processes if tenant in each.get("heads", ())]
    return {writer: (seq, bytes(head)) for writer, seq, head in told}


def _key(process: str) -> str:
    return f"|{process}"
