"""What the repositories of a store have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fhir_server.access.caller import Caller
from fhir_server.store import bulk
from fhir_server.store.ids import NewId, uuid7
from fhir_server.store.parameters import OwnParameters
from fhir_server.store.shelf import Shelf
from fhir_server.store.signing import Signing
from fhir_server.store.tenants import Tenant

Clock = Callable[[], datetime]
Latest = Callable[[], Awaitable[Tenant]]
"""What the tenant is now."""
Mark = bulk.Mark


class Hiding(Protocol):
    """Knows what consents forbid; see `store.consents`."""

    async def applied(self, tenant: Tenant, caller: Caller) -> Caller: ...

    async def guard(self, tenant: Tenant, guards: frozenset[str]) -> None: ...

    async def guards(self, tenant: Tenant) -> frozenset[str]: ...


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the repositories of a store have in common, whoever asks; some of it only where there is a store."""

    clock: Clock = now
    new_id: NewId = uuid7
    shelf: Shelf | None = None
    own: OwnParameters | None = None
    latest: Latest | None = None
    mark: Mark | None = None
    signing: Signing | None = None
    hiding: Hiding | None = None
