"""Every request to a FHIR base leaves an event, and its answer is not let out before.  45 CFR 164.312(b)

What says what the server can do is nobody's data: metadata, the SMART configuration and preflights leave none.
"""

from __future__ import annotations

from fhir_server.access.caller import Caller
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.events import Asked
from fhir_server.rest.address import Address
from fhir_server.rest.asgi import Scope
from fhir_server.rest.exchange import Exchange
from fhir_server.store.connection import Store
from fhir_server.store.recording import Recording
from fhir_server.store.tenants import Tenant

OPEN = frozenset({"capabilities"})


class Auditing:
    """Of a server that records; one that does not has none."""

    def __init__(self, store: Store, public_url: str):
        self._store = store
        self._public_url = public_url

    def begun(
        self, scope: Scope, exchange: Exchange, address: Address, tenant: Tenant, caller: Caller | None
    ) -> Recording:
        """What a request that was let in is recorded by."""
        name = tenant.name
        asked = Asked(
            tenant=name,
            base=f"{self._public_url}/fhir/{name}",
            request_id=exchange.request_id,
            method=exchange.method,
            url=f"{address.path}?{address.query}" if address.query else address.path,
            key=lambda: self._store.keys.sealing(name),
            host=scope["client"][0] if scope.get("client") else None,
            caller=caller,
        )
        recording = Recording(self._store.journal, tenant, asked)
        exchange.recorded = (asked, recording)
        return recording

    async def told(self, scope: Scope, exchange: Exchange, status: int, problem: FhirError | None) -> None:
        """Raises where it cannot be recorded: then there is no other answer than that."""
        if exchange.unrecorded or exchange.interaction in OPEN:
            return
        if exchange.recorded is None:
            await self._stranger(scope, exchange)
        if exchange.recorded is None:
            return
        asked, recording = exchange.recorded
        asked.interaction, asked.status = exchange.interaction, status
        asked.refused = problem.issues[0].code if problem else None
        await recording.tell()

    async def _stranger(self, scope: Scope, exchange: Exchange) -> None:
        """Somebody who was not let in, at the door of a tenant that there is."""
        name, _, path = scope["path"].removeprefix("/fhir/").partition("/")
        tenant = await self._store.tenants.get(name)
        if tenant is not None:
            self.begun(scope, exchange, Address(name, path, scope["query_string"].decode("latin-1")), tenant, None)
