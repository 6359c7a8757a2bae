"""What is recorded about the keys of a tenant: policies, and what has happened.

Records of the feature `keys`: policies `keys/rotation`, which legacy tables give as well, and events `keys/event`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_server.crypto.rotation import Policy, policy_of
from fhir_server.fhir.audit import APPLICATION, Agent, Event, Outcome, patient, thing
from fhir_server.fhir.audit_kinds import HUMAN, OPERATOR, happened
from fhir_server.fhir.resource import instant
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import Document
from fhir_server.store.tenants import Tenant

POLICY = "keys/rotation"
HAPPENED = "keys/event"
LEGACY = "keys/legacy"
SEALED_ANEW = "sealed anew"
"""The action of the end of a job: from then on older keys have sealed nothing that is there."""
BEGUN = "shredding"
"""The action of the beginning of the end of a patient's record."""
REPORTED = "reported"
"""The action of an event that was reported from outside, and did not come from a command or a job."""


INACTIVE = frozenset({"inactive", "disabled", "suspended", "retired", "archived"})
"""What legacy systems call a policy that does not hold any more."""


class KeyRecords:
    """Those of one tenant."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self._store = store
        self._tenant = tenant
        self.records = FeatureRecords(store, tenant)

    async def since(self, action: str, earliest: datetime) -> datetime:
        """When something happened last, if that was after a moment; else that moment."""
        found = await self.records.having(HAPPENED, "action", [action])
        return max([earliest, *(datetime.fromisoformat(each["at"]) for each in found)])

    async def policies(self) -> list[Document]:
        """All, also those that do not hold any more."""
        return await self.records.of(POLICY)

    async def holding(self) -> list[Policy]:
        return [policy_of(each) for each in await self.policies() if is_active(each)]

    async def put_policy(self, policy: Mapping[str, Any]) -> None:
        """Under its name: another of that name takes its place."""
        await self.records.put([{"resourceType": POLICY, "id": policy["name"], **policy}])

    async def drop_policy(self, policy_id: str) -> bool:
        return await self.records.delete(POLICY, policy_id)

    async def tell(self, action: str, by: str, **more: str | int) -> Document:
        """Something has happened to keys, or that is a reason to replace them: recorded here and in the audit trail."""
        event = await self.note(action, by, **more)
        at = datetime.fromisoformat(event["at"])
        await self._store.journal.record(self._tenant.name, recorded(action, by, at, more))
        return event

    async def note(self, action: str, by: str, **more: str | int) -> Document:
        """The same, recorded here only."""
        at = instant(datetime.now(UTC))
        event = {"resourceType": HAPPENED, "id": uuid7(), "action": action, "at": at, "by": by, **more}
        await self.records.put([event])
        return event

    async def events(self) -> list[Document]:
        """The oldest first: ids are made of the time."""
        return await self.records.of(HAPPENED)

    async def reported(self) -> dict[str, datetime]:
        """When each kind of event was reported last."""
        found = await self.records.having(HAPPENED, "action", [REPORTED])
        return {each["event"]: datetime.fromisoformat(each["at"]) for each in found}

    async def legacy(self) -> list[Document]:
        """Keys of the systems that rows came from: which they were, never the keys."""
        return await self.records.of(LEGACY)


def recorded(action: str, by: str, at: datetime, more: Mapping[str, Any], outcome: Outcome = "0") -> Event:
    """For the audit trail; that of a patient is found by the patient."""
    said = {"action": action, **more}
    details = tuple((name, str(value)) for name, value in said.items() if name != "key" and value != "")
    about = thing("Security Resource", str(more.get("key", "keys")), *details)
    whose = (patient(more["patient"]),) if "patient" in more else ()
    is_operator = by.startswith(OPERATOR)
    who = Agent((HUMAN,), identifier=by) if is_operator else Agent((APPLICATION,), display=by)
    agent = who._replace(requestor=True)
    return happened("shred" if whose else "key", at, agent, outcome=outcome, entities=(about, *whose))


def is_active(record: Mapping[str, Any]) -> bool:
    return str(record.get("status") or "active").lower() not in INACTIVE
