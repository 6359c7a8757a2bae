"""What keeps the chains of all tenants in order: ends, missing entries, checkpoints, anchors.

One process at a time does so for all; that two do it at once after a pause harms nothing, as every record has a key.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

from pymongo.errors import DuplicateKeyError

from fhir_server.store.anchor import Anchor, Anchored
from fhir_server.store.chains import last_entry
from fhir_server.store.checkpoints import Checkpoint, checkpoint_in, following, key, stored, told
from fhir_server.store.database import Database
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import Document, key_range
from fhir_server.store.processes import Processes, Watch, heads_of
from fhir_server.store.recovery import Recovery
from fhir_server.store.rows import Row, moment_of
from fhir_server.store.tenants import Tenant

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two checkpoints of a tenant."""
AT_MOST = 1000
"""Entries between two checkpoints."""
UNCHAINED = timedelta(seconds=5)
"""After so long an event without an entry is one that its process did not get to."""
REACH = timedelta(seconds=120)
"""An event that is older than this when it becomes visible has waited longer than any transaction may."""
AGAIN = 5.0
"""Seconds between two looks for events without an entry."""
ANCHORED = 1000
"""Checkpoints that are anchored at a time."""

Witness = Callable[[str], Awaitable[bytes]]
"""The key that entries of a tenant are authenticated with."""
Link = Callable[[Tenant, Sequence[Row]], Awaitable[None]]
"""Gives entries to what is stored."""


@dataclass(slots=True)
class State:
    """What is remembered of a tenant between two rounds; another of the same name is another one."""

    created: datetime
    last: Checkpoint | None
    made: float
    reached: datetime
    looked: float = 0.0
    anchored: int | None = None


@dataclass(slots=True)
class Keeping:
    """Rounds over what is open."""

    processes: Processes
    keys: TenantKeys
    witness: Witness
    link: Link
    anchor: Anchor | None = None
    _watch: Watch = field(default_factory=Watch)
    _states: dict[str, State] = field(default_factory=dict)

    async def round(self, places: Sequence[tuple[Database, Sequence[Tenant]]]) -> None:
        processes = await self.processes.all()
        dead = self._watch.dead(processes)
        for place, tenants in places:
            open_chains: dict[str, list[Document]] = {}
            async for each in place.audit_writers.find({"live": True}):
                open_chains.setdefault(each["t"], []).append(each)
            alive = {each["p"] for each in processes} - set(dead)
            for tenant in tenants:
                if tenant.name in open_chains:
                    await self._of_tenant(place, tenant, open_chains[tenant.name], processes, alive)
        for process in dead:
            await self.processes.ended(process)

    async def _of_tenant(
        self, place: Database, tenant: Tenant, chains: list[Document], processes: list[Document], alive: set[str]
    ) -> None:
        recovery = Recovery(place, tenant.name, await self.witness(tenant.name))
        orphans = [each["w"] for each in chains if each["p"] not in alive and "closed" not in each]
        for writer in orphans:
            await recovery.closed(writer)
        state = await self._state(place, tenant)
        found = await self._recovered(tenant, recovery, state)
        if not orphans and not found:  # Else what was read of the chains has changed: next time.
            await self.checkpoint(place, tenant, chains, heads_of(processes, tenant.name))
        await self._anchored(place, tenant.name, state)

    async def _state(self, place: Database, tenant: Tenant) -> State:
        known = self._states.get(tenant.name)
        if known is None or known.created != tenant.created:
            last = await last_checkpoint(place, tenant.name)
            reached = moment_of(last.at) - REACH if last else moment_of(0)
            known = self._states[tenant.name] = State(tenant.created, last, 0.0, reached)
        return known

    async def _recovered(self, tenant: Tenant, recovery: Recovery, state: State) -> int:
        """The first time all since the last checkpoint, or from the beginning; then what may have come to light."""
        if monotonic() - state.looked < AGAIN:
            return 0
        found, end = 0, datetime.now(UTC) - UNCHAINED
        async for rows in recovery.unchained(state.reached, end, adopting=state.last is None):
            await self.link(tenant, rows)
            found += len(rows)
        state.looked, state.reached = monotonic(), end - REACH
        return found

    async def look(self, place: Database, tenant: Tenant) -> None:
        """Entries for what has none since the last checkpoint, before this process makes one and goes.

        What was there before there were checkpoints may be much: that is left to a process that stays.
        """
        self._states.pop(tenant.name, None)
        state = await self._state(place, tenant)
        recovery = Recovery(place, tenant.name, await self.witness(tenant.name))
        if state.last is not None or not await recovery.unmarked():
            await self._recovered(tenant, recovery, state)

    async def checkpoint(
        self,
        place: Database,
        tenant: Tenant,
        chains: list[Document],
        reported: dict[str, tuple[int, bytes]],
        *,
        now: bool = False,
    ) -> None:
        """Where anything has moved, and it is time."""
        state = await self._state(place, tenant)
        known = state.last.heads if state.last else {}
        stands = {each["w"]: await _head(place, each, reported) for each in chains}
        # What a process says of itself is of a moment ago.
        heads = {writer: max(head, known.get(writer, head)) for writer, head in stands.items() if head is not None}
        moved = sum(seq - known.get(writer, (-1, b""))[0] for writer, (seq, _) in heads.items())
        due = now or moved >= AT_MOST or monotonic() - state.made >= EVERY
        if not (moved and due):
            return
        found = following(state.last, tenant.name, heads, (await self.keys.attesting(tenant.name))[0])
        try:
            await place.audit_checkpoints.insert_one(stored(found))
        except DuplicateKeyError:
            del self._states[tenant.name]  # Another process was faster.
            return
        state.last, state.made = found, monotonic()
        over = [each["_id"] for each in chains if "closed" in each]
        await place.audit_writers.update_many({"_id": {"$in": over}}, {"$set": {"live": False}})

    async def _anchored(self, place: Database, tenant: str, state: State) -> None:
        """All that the anchor does not have yet; what fails is tried again in the next round."""
        if self.anchor is None or state.last is None or state.anchored == state.last.number:
            return
        try:
            reached = await self.anchor.last(tenant)
            if reached > state.last.number:
                log.error("The anchor knows more checkpoints of the tenant %s than the database.", tenant)
                return
            after = {"_id": {"$gt": key(tenant, reached), "$lt": key_range(tenant)["$lt"]}}
            cursor = place.audit_checkpoints.find(after).sort([("_id", 1)]).limit(ANCHORED)
            lines: list[Anchored] = [told(checkpoint_in(each)) async for each in cursor]
            await self.anchor.add(lines)
        except OSError as problem:
            log.error("Checkpoints could not be anchored: %s", problem.strerror)
            return
        state.anchored = lines[-1].checkpoint if lines else reached

    async def settle(self, place: Database, tenant: Tenant) -> None:
        """A checkpoint of what this process leaves, before it goes."""
        state = await self._state(place, tenant)
        recovery = Recovery(place, tenant.name, await self.witness(tenant.name))
        if state.last is None and await recovery.unmarked():
            return
        chains = await place.audit_writers.find({"t": tenant.name, "live": True}).to_list()
        await self.checkpoint(place, tenant, chains, heads_of(await self.processes.all(), tenant.name), now=True)
        await self._anchored(place, tenant.name, await self._state(place, tenant))


async def _head(place: Database, chain: Document, reported: dict[str, tuple[int, bytes]]) -> tuple[int, bytes] | None:
    """Where a chain ended, or where its process says that it stands, or where it is seen to stand."""
    if "closed" in chain:
        return chain["s"], bytes(chain["h"])
    if chain["w"] in reported:
        return reported[chain["w"]]
    last = await last_entry(place, chain["t"], chain["w"])
    return None if last is None else (last.seq, last.hash)


async def last_checkpoint(place: Database, tenant: str) -> Checkpoint | None:
    found = await place.audit_checkpoints.find({"_id": key_range(tenant)}).sort([("_id", -1)]).limit(1).to_list()
    return checkpoint_in(found[0]) if found else None
