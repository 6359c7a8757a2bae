"""The journal: every event is recorded before anybody learns of what it is about, and proves that it is whole.

Who records waits for the event to be durable, and gets 503 where it does not become so: then nothing may leave this
server. https://hl7.org/fhir/R4/security.html#audit
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from fhir_server.fhir.audit import Event
from fhir_server.fhir.outcome import error
from fhir_server.store.chains import Chain
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import Outdated, mongo_errors
from fhir_server.store.ids import NewId, uuid7
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import Document
from fhir_server.store.rows import Row, marked, recorded
from fhir_server.store.tenants import Tenant, Tenants

STALE = timedelta(seconds=30)
"""An event that is recorded later than this is recorded as of now: recovery does not look further back."""


class Journal:
    """The events of all tenants that this process records; `off` where nothing is to be."""

    def __init__(
        self, tenants: Tenants, keys: TenantKeys, of: Callable[[Tenant], Database], *, new_id: NewId = uuid7
    ) -> None:
        self.off = False
        self.process = uuid4().hex
        self._tenants = tenants
        self._keys = keys
        self._of = of
        self._new_id = new_id
        self._chains: dict[str, Chain] = {}

    async def record(self, tenant: str, event: Event) -> str:
        """The id of the event, once it is durable; nothing where the journal is off."""
        if self.off:
            return ""
        try:
            return await self._recorded(await self._tenant(tenant), event)
        except Outdated:
            return await self._recorded(await self._tenants.latest(tenant), event)

    async def within(self, session: Session | None, tenant: Tenant, events: Sequence[Event]) -> list[Row]:
        """Stored in a transaction, with it or not at all; to be handed to `committed` once they are."""
        if self.off or not events:
            return []
        key = await self._keys.witness(tenant.name)
        rows = [self._row(tenant, each, key) for each in events]
        with mongo_errors:
            await self._of(tenant).audit.insert_many([each.document for each in rows], session=session)
        return rows

    async def committed(self, tenant: Tenant, rows: Sequence[Row]) -> None:
        """Entries for what `within` has stored; where this process dies before, another makes them."""
        if rows:
            (await self._chain(tenant)).follow(rows)

    async def marked(self, document: Document) -> Document:
        """An AuditEvent that was sent or brought in, so that it can be given an entry."""
        return marked(document, await self._keys.witness(document["t"]))

    async def settled(self) -> None:
        """When everything recorded so far has its entries."""
        await asyncio.gather(*(each.settled() for each in self._chains.values()))

    async def close(self) -> None:
        """The end of this process's chains."""
        chains, self._chains = list(self._chains.values()), {}
        with mongo_errors:
            await asyncio.gather(*(each.close() for each in chains))

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
        key = await self._keys.witness(tenant.name)
        found = self._chains.get(tenant.name)
        if found is None or found.key != key:
            found = self._chains[tenant.name] = Chain(self._of(tenant), tenant.name, key, self.process)
        return found

    def _row(self, tenant: Tenant, event: Event, key: bytes) -> Row:
        now = datetime.now(UTC)
        fresh = event if now - event.recorded < STALE else replace(event, recorded=now)
        return recorded(tenant, fresh, event.id or self._new_id(), key, self.process)
