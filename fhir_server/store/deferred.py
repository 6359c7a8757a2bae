"""Bundles that are answered later: what was asked and what is answered, entry by entry, in the tenant's own database.

https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.access.caller import TREATMENT, Caller
from fhir_server.access.clearance import Clearance
from fhir_server.access.scopes import Scope
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import too_long
from fhir_server.fhir.resource import Resource
from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.idempotency import opened, sealed
from fhir_server.store.jobs import Job, Jobs, unknown
from fhir_server.store.layout import DEFERRED, Document, key
from fhir_server.store.seals import UNENCRYPTED, Seals

ANSWER = "deferred answer"
"""The kind of what is sealed of an answer."""
BUNDLE = "bundle"
"""The kind of job."""
UNFINISHED = timedelta(days=7)
"""After this what was asked is forgotten, done or not."""
LONGEST = 15 * 1024 * 1024
"""Bytes of one entry, compressed: a document has 16 MB at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All of a Bundle but its entries, and by whom it was sent."""

    bundle: Resource
    caller: Caller
    base: str
    prefer: frozenset[str]
    idempotency_key: str | None
    answer: EntryResponse | None = None
    """Of the Bundle as a whole, where it is not made of the answers of its entries."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The deferred Bundles of one tenant."""

    collection: Collection
    jobs: Jobs
    tenant: str
    seals: Seals = UNENCRYPTED

    async def add(self, asked: Asked, entries: Sequence[Resource]) -> Job:
        """Everything is stored before there is a job for it."""
        job = self.jobs.new(self.tenant, BUNDLE, {}, total=len(entries))
        expires = datetime.now(UTC) + UNFINISHED
        rows = [
            {"_id": self._key(job, place), "asked": await self._sealed(self._key(job, place), _packed(each, place))}
            for place, each in enumerate(entries)
        ]
        head = {**_head(asked), "bundle": await self._sealed(self._key(job), json.encode(asked.bundle))}
        with mongo_writes:
            await self.collection.insert_one({"_id": self._key(job), "expires": expires, **head})
            if rows:
                await self.collection.insert_many([{**each, "expires": expires} for each in rows])
        await self.jobs.insert(job)
        return job

    async def job(self, job_id: str, caller: Caller) -> Job:
        """404 for everyone but who sent it, and once it is forgotten."""
        job = await self.jobs.get(self.tenant, BUNDLE, job_id)
        asked = await self.asked(job) if job and job.state != "cancelled" else None
        if job is None or asked is None or asked.caller.fingerprint != caller.fingerprint:
            raise unknown(job_id)
        return job

    async def asked(self, job: Job) -> Asked | None:
        with mongo_errors:
            found = await self.collection.find_one({"_id": self._key(job), "expires": {"$gt": datetime.now(UTC)}})
        if not found:
            return None
        answer = await self._answer(found)
        bundle = json.trusted(await self.seals.opened(DEFERRED, self._key(job), found["bundle"]))
        return replace(_asked(self.tenant, found, bundle), answer=answer)

    async def entries(self, job: Job, since: int, count: int) -> list[tuple[Resource, EntryResponse | None]]:
        """Some of the entries in their order, those that are done with their answers."""
        places = {"$gte": self._key(job, since), "$lt": self._key(job, since + count)}
        with mongo_errors:
            found = await self.collection.find({"_id": places}).sort("_id").to_list()
        return [(await self._entry(each), await self._answer(each)) for each in found]

    async def _entry(self, kept: Document) -> Resource:
        found: Resource = json.trusted(zlib.decompress(await self.seals.opened(DEFERRED, kept["_id"], kept["asked"])))
        return found

    async def _answer(self, kept: Document) -> EntryResponse | None:
        return await opened(self.seals, ANSWER, kept["_id"], kept["answer"]) if "answer" in kept else None

    async def _sealed(self, name: str, said: bytes) -> bytes:
        return await self.seals.sealed(DEFERRED, name, said)

    async def answer(self, job: Job, answer: EntryResponse, place: int | None = None) -> None:
        """Of one entry, or of the whole."""
        kept = await sealed(self.seals, ANSWER, self._key(job, place), answer)
        with mongo_writes:
            await self.collection.update_one({"_id": self._key(job, place)}, {"$set": {"answer": kept}})

    async def keep(self, job: Job, kept: timedelta) -> None:
        """From now on for so long."""
        expires = {"$set": {"expires": datetime.now(UTC) + kept}}
        with mongo_writes:
            await self.collection.update_many({"_id": self._all(job)}, expires)

    async def remove(self, job: Job) -> None:
        with mongo_writes:
            await self.collection.delete_many({"_id": self._all(job)})

    def _key(self, job: Job, place: int | None = None) -> str:
        return key(self.tenant, job.job_id, "" if place is None else f"{place:06}")

    def _all(self, job: Job) -> Document:
        first = self._key(job)
        return {"$gte": first, "$lt": f"{first[:-1]}}}"}


def _packed(entry: Resource, place: int) -> bytes:
    packed = zlib.compress(json.encode(entry), 1)
    if len(packed) > LONGEST:
        raise too_long(f"Bundle.entry[{place}] is too large to be answered later; send it on its own.")
    return packed


def _head(asked: Asked) -> Document:
    caller = asked.caller
    return {
        "subject": caller.subject,
        "client_id": caller.client_id,
        "scopes": " ".join(map(str, caller.scopes)),
        "patient": caller.patient,
        "token_id": caller.token_id,
        "roles": caller.roles,
        "patients": caller.patients,
        "fhir_user": caller.fhir_user,
        "purpose": caller.purpose,
        "clearance": None if caller.clearance is None else str(caller.clearance),
        "until": caller.until,
        "unbound": caller.unbound,
        "base": asked.base,
        "prefer": sorted(asked.prefer),
        "idempotency_key": asked.idempotency_key,
    }


def _asked(tenant: str, found: Mapping[str, Any], bundle: Resource) -> Asked:
    """What is shared with a person is not kept: it is looked up again when the work is done."""
    roles = found.get("roles")
    caller = Caller(
        tenant,
        found["subject"],
        found["client_id"],
        tuple(map(Scope.parse, found["scopes"].split())),
        found["patient"],
        found["token_id"],
        roles=None if roles is None else tuple(roles),
        patients=tuple(found.get("patients", ())),
        fhir_user=found.get("fhir_user"),
        purpose=found.get("purpose", TREATMENT),
        clearance=Clearance.parse(found["clearance"].split()) if found.get("clearance") else None,
        until=found.get("until"),
        unbound=found.get("unbound", False),
    )
    return Asked(bundle, caller, found["base"], frozenset(found["prefer"]), found["idempotency_key"])
