"""What one request reads and writes, and how it is told to the journal: once, before anybody learns of it.

What was written is told in the transaction that writes it, so that there is never one without the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fhir_server.fhir.audit import Event
from fhir_server.store.database import Session
from fhir_server.store.journal import Journal
from fhir_server.store.rows import Row
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import Write

PATIENTS = 1_000
"""Named by one event at most; who sees the data of more leaves several events."""


@dataclass(slots=True)
class Trail:
    """In the order of what happened, each once."""

    shown: dict[str, None] = field(default_factory=dict)
    """References with versions, as are those of `written`."""
    written: dict[str, str] = field(default_factory=dict)
    """With the method of each."""
    patients: dict[str, None] = field(default_factory=dict)

    def show(self, document: Mapping[str, Any]) -> None:
        self.shown[f"{document['rt']}/{document['id']}/_history/{document['v']}"] = None
        for each in document.get("cmp", ()):
            self.patients[each] = None

    def write(self, write: Write) -> None:
        self.written[write.version.location] = write.version.method
        for each in write.document["cmp"]:
            self.patients[each] = None

    def follow(self, other: Trail) -> None:
        """Goes on where the other ended."""
        self.shown |= other.shown
        self.written |= other.written
        self.patients |= other.patients


class Account(Protocol):
    """A request, as whoever took it in understands it."""

    alert: str | None
    """What about it somebody should look at."""

    async def events(self, trail: Trail) -> Sequence[Event]:
        """What is recorded of it, from what it has read and written."""
        ...

    async def of_part(self, trail: Trail) -> Sequence[Event]:
        """The same of an entry of a batch that has written something."""
        ...


@dataclass(slots=True)
class Recording:
    """Of one request, or of one attempt of its transaction."""

    journal: Journal
    tenant: Tenant
    account: Account
    apart: bool = False
    """An entry of a batch, which leaves events of its own where it writes."""
    trail: Trail = field(default_factory=Trail)
    rows: list[Row] = field(default_factory=list)
    """What was told in a transaction."""
    told: bool = False
    """Nothing more is to be recorded of it."""

    def attempt(self) -> Recording:
        """What comes to nothing leaves no trail."""
        return Recording(self.journal, self.tenant, self.account, self.apart)

    def part(self) -> Recording:
        return Recording(self.journal, self.tenant, self.account, apart=True)

    async def within(self, session: Session, tenant: Tenant) -> None:
        """Where something was written: in the transaction, and indexed as the tenant wants it in that."""
        if self.trail.written:
            said = self.account.of_part if self.apart else self.account.events
            self.rows = await self.journal.within(session, tenant, await said(self.trail))
            self.told = True

    async def committed(self, attempt: Recording) -> None:
        self.trail.follow(attempt.trail)
        self.told = self.told or attempt.told
        await self.journal.committed(self.tenant, attempt.rows)

    async def tell(self) -> None:
        """What was not told yet."""
        if not self.told:
            for event in await self.account.events(self.trail):
                await self.journal.record(self.tenant.name, event)
            self.told = True


def portions(patients: Iterable[str]) -> list[list[str]]:
    """As many as one event names; one portion where there are none."""
    listed = list(patients)
    return [listed[start : start + PATIENTS] for start in range(0, max(len(listed), 1), PATIENTS)]
