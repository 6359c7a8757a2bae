"""Shredding: the keys of one patient destroyed, so that what they have sealed is unreadable wherever a copy of it is.

What stays are tombstones, so that the patient's resources are gone and not unknown, the audit trail, and a certificate.
NIST SP 800-88 Rev. 1 §2.5, https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from pymongo import ReplaceOne

from fhir_server.fhir.outcome import error, not_found
from fhir_server.store import rules
from fhir_server.store.approvals import approvers
from fhir_server.store.certificates import Certificate
from fhir_server.store.connection import Store
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.key_records import BEGUN, KeyRecords
from fhir_server.store.key_versions import KeyVersions
from fhir_server.store.layout import Document
from fhir_server.store.reencryption import Reencryption
from fhir_server.store.tenants import Tenant
from fhir_server.store.vault import CURRENT, DESTROYED
from fhir_server.store.versions import destroyed, superseded, tombstone
from fhir_server.store.where import same, sealed_by, still_sealed

KIND: Final = "shred"
BATCH: Final = 200
SETTLED: Final = CURRENT + 1.0
"""Seconds after which no process seals with a key that was destroyed before."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be destroyed, why, and who says so: the names of people who may sign in."""

    patient_id: str
    reason: str
    approved_by: tuple[str, ...]
    by: str


class Shredding:
    """Of the patients of one tenant; one that was interrupted is taken up again by asking for it again."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        self._store = store
        self._tenant = tenant
        self._records = KeyRecords(store, tenant)
        self._versions: KeyVersions = store.key_versions(tenant)
        self._bodies: Reencryption = store.reencryption(tenant)
        self._place: Database = store.of(tenant)

    async def shred(self, order: Order) -> Certificate:
        """The key first: from then on there is no way back, and what follows only tidies up."""
        approved_by = await approvers(self._store.users, self._tenant.name, order.approved_by)
        keys = await self._checked(order.patient_id)
        begun = await self._begun(order, keys)
        await self._versions.destroy(keys)
        await self._versions.forbid_patient(order.patient_id)
        await self._tidied(keys)
        content = {
            "patient": f"Patient/{order.patient_id}",
            "reason": order.reason,
            "approvedBy": [each.user_id for each in approved_by],
            "keys": keys,
            "current": begun["current"],
            "superseded": begun["superseded"],
        }
        name = f"{KIND}-{order.patient_id}"
        certificate = await self._store.certificates.issue(
            self._tenant.name, KIND, content, datetime.now(UTC), name=name
        )
        await self._records.tell("shredded", order.by, key="patient", patient=content["patient"], certificate=name)
        return certificate

    async def _checked(self, patient_id: str) -> list[str]:
        """The ids of the patient's keys. Once they are destroyed, nothing can stand in the way of the rest."""
        keys = await self._versions.of_patient(patient_id)
        if not keys:
            raise not_found("Patient", patient_id)
        if any(each.state != DESTROYED for each in keys):
            refusal = await self._store.holds.refusal(self._tenant, patient_id)
            if refusal is not None:
                raise error("business-rule", refusal, status=409)
        return [each.key_id for each in keys]

    async def _begun(self, order: Order, keys: Sequence[str]) -> Document:
        """What there was before, written down once."""
        about = {"key": "patient", "patient": f"Patient/{order.patient_id}"}
        for each in await self._records.events():
            if each["action"] == BEGUN and each["patient"] == about["patient"]:
                return each
        filter_ = sealed_by(self._tenant.name, keys)
        with mongo_errors:
            current, past = [await each.count_documents(filter_) for each in self._bodies.collections]
        return await self._records.note(BEGUN, order.by, **about, why=order.reason, current=current, superseded=past)

    async def _tidied(self, keys: Sequence[str]) -> None:
        """Until nothing is found for longer than another process could go on with a key that it had at hand."""
        until = monotonic() + SETTLED
        while True:
            last = monotonic() > until
            found = await self._buried(keys) + await self._emptied(keys)
            if last and not found:
                return
            if not found:
                await asyncio.sleep(min(0.5, SETTLED))

    async def _buried(self, keys: Sequence[str]) -> int:
        """Current versions become tombstones, and empty versions in the history."""
        documents = await self._next(0, keys)
        now = datetime.now(UTC)
        if documents:
            past = [superseded(destroyed(each)) for each in documents]
            graves = [ReplaceOne(still_sealed(each), tombstone(self._tenant, now, each).document) for each in documents]
            with mongo_writes:
                await self._place.bodies.outdate(documents)
                await self._place.history.bulk_write([_kept(each) for each in past], ordered=False)
                await self._place.resources.bulk_write(graves, ordered=False)
            consents = [each["id"] for each in documents if each["rt"] == rules.TYPE]
            await rules.forget(self._place, self._tenant.name, consents)
        return len(documents)

    async def _emptied(self, keys: Sequence[str]) -> int:
        """Versions in the history lose what they said."""
        documents = await self._next(1, keys)
        if documents:
            with mongo_writes:
                await self._place.bodies.outdate(documents)
                emptied = [ReplaceOne(still_sealed(each), destroyed(each)) for each in documents]
                await self._place.history.bulk_write(emptied, ordered=False)
        return len(documents)

    async def _next(self, place: int, keys: Sequence[str]) -> list[Document]:
        filter_ = sealed_by(self._tenant.name, keys)
        with mongo_errors:
            found: list[Any] = await self._bodies.collections[place].find(filter_, limit=BATCH).sort("_id").to_list()
        return found


def _kept(document: Document) -> ReplaceOne[Document]:
    return ReplaceOne(same(document), document, upsert=True)
