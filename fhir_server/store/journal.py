"""The journal: every event is recorded before anybody learns of what it is about, and proves that it is whole.

Who records waits for the event to be durable, and gets 503 where it does not become so: then nothing may leave this
server. https://hl7.org/fhir/R4/security.html#audit
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pymongo.errors import PyMongoError

from fhir_server.crypto.chain import Entry
from fhir_server.fhir.audit import Event
from fhir_server.fhir.outcome import FhirError, error, transient
from fhir_server.store.anchor import Anchored
from fhir_server.store.chains import Chain
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import Outdated, mongo_errors
from fhir_server.store.grouped import AWAY, PATIENCE
from fhir_server.store.ids import uuid7
from fhir_server.store.keeping import Keeping, Witness
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import Document
from fhir_server.store.processes import BEAT, Processes
from fhir_server.store.rows import Row, marked, recorded
from fhir_server.store.tasks import ended
from fhir_server.store.tenants import Tenant, Tenants

log = logging.getLogger(__name__)

CLOSING = 10.0
"""Seconds in which a process that ends puts its chains in order."""
IDLE = 600.0
"""Seconds without an event after which a chain ends; the next event begins another."""
STALE = timedelta(seconds=30)
"""An event that is recorded later than this is recorded as of now: recovery does not look further back."""


class Journal:
    """The events of all tenants that this process records; `off` where nothing is to be."""

    def __init__(
        self,
        tenants: Tenants,
        keys: TenantKeys,
        of: Callable[[Tenant], Database],
        processes: Processes,
        witness: Witness,
    ) -> None:
        self.off = False
        self.process = uuid4().hex
        self._tenants = tenants
        self._witness = witness
        self._of = of
        self._chains: dict[str, Chain] = {}
        self._told: dict[str, Entry] = {}
        self._beating: asyncio.Task[None] | None = None
        self._alive = asyncio.Event()
        self._processes = processes
        self.keeping = Keeping(processes, keys, witness, self._linked)

    async def record(self, tenant: str, event: Event) -> str:
        """The id of the event, once it is durable; nothing where the journal is off."""
        if self.off:
            return ""
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    return await self._recorded(await self._tenant(tenant), event)
                except Outdated:
                    return await self._recorded(await self._tenants.latest(tenant), event)
        except TimeoutError as problem:
            raise transient(AWAY) from problem

    async def within(self, session: Session | None, tenant: Tenant, events: Sequence[Event]) -> list[Row]:
        """Stored in a transaction, with it or not at all; to be handed to `committed` once they are."""
        if self.off or not events:
            return []
        key = await self._witness(tenant.name)
        rows = [self._row(tenant, each, key) for each in events]
        try:
            async with asyncio.timeout(PATIENCE):
                with mongo_errors:
                    await self._of(tenant).audit.insert_many([each.document for each in rows], session=session)
        except (TimeoutError, PyMongoError) as problem:
            raise transient(AWAY) from problem
        return rows

    async def committed(self, tenant: Tenant, rows: Sequence[Row]) -> None:
        """Entries for what `within` has stored; where this process dies before, another makes them."""
        if not rows:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                (await self._chain(tenant)).follow(rows)
        except (FhirError, TimeoutError):
            log.warning("Events of the tenant %s are left without an entry for now.", tenant.name)

    async def _linked(self, tenant: Tenant, rows: Sequence[Row]) -> None:
        await (await self._chain(tenant)).link(rows)

    async def marked(self, document: Document) -> Document:
        """An AuditEvent that was sent or brought in, so that it can be given an entry."""
        return marked(document, await self._witness(document["t"]))

    async def settled(self) -> None:
        """When everything recorded so far has its entries."""
        await asyncio.gather(*(each.settled() for each in self._chains.values()))

    async def round(self) -> bool:
        """Whether it was this process's turn to look after all chains, which it then has done."""
        with mongo_errors:
            if not await self._processes.turn(self.process):
                return False
            tenants = await self._tenants.list()
            named = {tenant.database: self._of(tenant) for tenant in tenants}
            places = [(place, [each for each in tenants if each.database == name]) for name, place in named.items()]
            await self.keeping.round(places)
        return True

    async def close(self) -> None:
        """The end of this process's chains, with a checkpoint of them."""
        if self._beating is None:
            return
        await ended(self._beating)
        try:
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*(self._closed(name, last=True) for name in list(self._chains)))
                await self._processes.ended(self.process)
        except (PyMongoError, FhirError, TimeoutError) as problem:
            log.warning("Chains of events are left to others without an end: %s", type(problem).__name__)

    async def forget(self, tenant: str) -> None:
        """What is erased has no chains any more; the anchor is told, as else they would seem to be lost."""
        self._chains.pop(tenant, None)
        if self.keeping.anchor is not None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            await self.keeping.anchor.add([Anchored(tenant, 0, now, erased=True)])

    async def _closed(self, name: str, *, last: bool = False) -> None:
        """Unless the tenant was erased meanwhile. Who goes leaves things in order."""
        found, tenant = self._chains[name], await self._tenants.get(name)
        if tenant is not None and await self._witness(name) == found.key:
            if last:
                await self.keeping.look(found.place, tenant)
            await found.close()
            if last:
                await self.keeping.settle(found.place, tenant)
        self._chains.pop(name, None)

    async def _beats(self) -> None:
        """Says that this process lives, and where its chains stand; what could not be said is said the next time."""
        while True:
            moved = {name: each.head for name, each in self._chains.items() if each.head is not None}
            new = {name: head for name, head in moved.items() if self._told.get(name) != head}
            with suppress(PyMongoError, FhirError):
                heads = {name: (head.writer, head.seq, head.hash) for name, head in new.items()}
                await self._processes.beat(self.process, heads)
                self._told |= new
                self._alive.set()
                await self._rested()
            await asyncio.sleep(BEAT)

    async def _rested(self) -> None:
        """Chains that nobody has used for long are closed: each that is open has to be looked after."""
        now = asyncio.get_running_loop().time()
        for name in [name for name, each in self._chains.items() if now - each.used > IDLE]:
            await self._closed(name)

    async def _recorded(self, tenant: Tenant, event: Event) -> str:
        chain = await self._chain(tenant)
        row = self._row(tenant, event, chain.key)
        await chain.add(row)
        return row.event

    async def _tenant(self, name: str) -> Tenant:
        found = await self._tenants.get(name)
        if found is None:
            raise error("not-found", f"There is no tenant '{name}'.")
        return found

    async def _chain(self, tenant: Tenant) -> Chain:
        key = await self._witness(tenant.name)
        if self._beating is None:
            self._beating = asyncio.create_task(self._beats())
        # A chain of a process that gives no sign of life would be closed at once.
        await self._alive.wait()
        found = self._chains.get(tenant.name)
        if found is None or found.key != key:
            found = self._chains[tenant.name] = Chain(self._of(tenant), tenant.name, key, self.process)
        return found

    def _row(self, tenant: Tenant, event: Event, key: bytes) -> Row:
        now = datetime.now(UTC)
        fresh = event if now - event.recorded < STALE else replace(event, recorded=now)
        return recorded(tenant, fresh, event.id or uuid7(), key, self.process)
