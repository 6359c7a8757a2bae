"""Jobs: long work as documents, leased to one process at a time and taken over from one that died.

Whoever runs a job keeps its lease alive and its progress with it; a process that was thought dead and lives finds that
the job is not its own any more. Work must bear to be done again from the cursor on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from pymongo import ReturnDocument

from fhir_server.fhir.outcome import FhirError, error
from fhir_server.store.database import Collection, Session
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import Document, key, key_range

State = Literal["queued", "running", "finished", "failed", "cancelled"]
OPEN = ("queued", "running")

LEASE = timedelta(seconds=15)
"""Without a sign of life for so long a process counts as dead."""
KEPT = timedelta(days=7)
"""How long a job is remembered once it is over."""
ATTEMPTS = 10
"""So many processes may take up a job without getting on before it has failed."""


def new_owner() -> str:
    """A name that no other process has, and none will have again."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"


class LeaseLost(Exception):
    """The job was cancelled, or another process took it over."""


@dataclass(frozen=True, slots=True)
class Job:
    """`given` says what is to be done, `cursor` where to go on; both mean something to its kind only."""

    tenant: str
    kind: str
    job_id: str
    given: Mapping[str, Any]
    created: datetime
    state: State = "queued"
    done: int = 0
    total: int = 0
    rate: float = 0.0
    """Per second."""
    cursor: Any = None
    error: str | None = None
    owner: str | None = None
    attempts: int = 0
    ended: datetime | None = None

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def percent(self) -> int:
        if self.state == "finished":
            return 100
        return min(99, 100 * self.done // self.total) if self.total else 0

    @property
    def seconds_left(self) -> int | None:
        """Nothing where there is no telling."""
        if not self.open or not self.rate:
            return None
        return max(1, round(max(0, self.total - self.done) / self.rate))

    @property
    def progress(self) -> str:
        """For people."""
        left = self.seconds_left
        about = "" if left is None else f", about {left} s left"
        return f"{self.percent} % of {self.total:,} done{about}" if self.total else "waiting for its turn"


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of all tenants of a store."""

    collection: Collection
    added: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where this process has added one, so that its worker need not wait."""

    def new(self, tenant: str, kind: str, given: Mapping[str, Any], *, total: int = 0) -> Job:
        return Job(tenant, kind, uuid7(), given, datetime.now(UTC), total=total)

    async def add(self, tenant: str, kind: str, given: Mapping[str, Any], session: Session | None = None) -> Job:
        job = self.new(tenant, kind, given)
        await self.insert(job, session)
        return job

    async def insert(self, job: Job, session: Session | None = None) -> None:
        with mongo_errors if session else mongo_writes:
            await self.collection.insert_one(_document(job), session=session)
        if session is None:  # Else there is none until the transaction is committed.
            self.added.set()

    async def get(self, tenant: str, kind: str, job_id: str) -> Job | None:
        with mongo_errors:
            document = await self.collection.find_one({"_id": key(tenant, kind, job_id)})
        return _job(document) if document else None

    async def listed(self, tenant: str | None = None, kind: str | None = None) -> list[Job]:
        """The newest first."""
        found: Document = {"_id": key_range(tenant)} if tenant else {}
        with mongo_errors:
            documents = await self.collection.find({**found, **({"kind": kind} if kind else {})}).to_list()
        return sorted(map(_job, documents), key=lambda job: job.created, reverse=True)

    async def take(self, kinds: Iterable[str], owner: str, only: Job | None = None) -> Job | None:
        """The oldest job that waits or whose process died; from now on it is the owner's."""
        now = datetime.now(UTC)
        waiting = [{"state": "queued"}, {"state": "running", "until": {"$lt": now}}]
        wanted: Document = {"_id": _key(only)} if only else {"kind": {"$in": list(kinds)}}
        leased = {"state": "running", "owner": owner, "until": now + LEASE}
        with mongo_writes:
            document = await self.collection.find_one_and_update(
                {**wanted, "$or": waiting},
                {"$set": leased, "$inc": {"attempts": 1}},
                sort=[("created", 1)],
                return_document=ReturnDocument.AFTER,
            )
        return _job(document) if document else None

    async def advance(self, job: Job, **progress: Any) -> None:
        """A sign of life, and progress if there is any."""
        alive = {"until": datetime.now(UTC) + LEASE, **progress, **({"attempts": 0} if progress else {})}
        await self._change(job, alive)

    async def release(self, job: Job) -> None:
        """To be taken up again, by whoever is ready for it."""
        await self._change(job, {"state": "queued", "owner": None})

    async def forsake(self, job: Job) -> None:
        """Its process is known to be dead: nobody need wait for the lease to run out."""
        mine = {"_id": _key(job), "owner": job.owner, "state": "running"}
        with mongo_writes:
            await self.collection.update_one(mine, {"$set": {"until": datetime.now(UTC)}})

    async def end(self, job: Job, state: State, problem: str | None = None, kept: timedelta = KEPT) -> None:
        now = datetime.now(UTC)
        await self._change(job, {"state": state, "error": problem, "ended": now, "expires": now + kept})

    async def cancel(self, job: Job, kept: timedelta = KEPT) -> bool:
        """Whether it was still to be done; its process stops at its next sign of life."""
        now = datetime.now(UTC)
        with mongo_writes:
            result = await self.collection.update_one(
                {"_id": _key(job), "state": {"$in": list(OPEN)}},
                {"$set": {"state": "cancelled", "ended": now, "expires": now + kept}},
            )
        return bool(result.matched_count)

    async def _change(self, job: Job, change: Document) -> None:
        mine = {"_id": _key(job), "owner": job.owner, "state": "running"}
        with mongo_writes:
            result = await self.collection.update_one(mine, {"$set": change})
        if not result.matched_count:
            raise LeaseLost


def unknown(job_id: str) -> FhirError:
    return error("not-found", f"There is no job '{job_id}'.")


def _key(job: Job) -> str:
    return key(job.tenant, job.kind, job.job_id)


def _document(job: Job) -> Document:
    return {
        "_id": _key(job),
        "tenant": job.tenant,
        "kind": job.kind,
        "id": job.job_id,
        "given": dict(job.given),
        "created": job.created,
        "state": job.state,
        "done": job.done,
        "total": job.total,
    }


def _job(document: Mapping[str, Any]) -> Job:
    names = ("state", "done", "total", "rate", "cursor", "error", "owner", "attempts", "ended")
    more = {name: document[name] for name in names if name in document}
    return Job(document["tenant"], document["kind"], document["id"], document["given"], document["created"], **more)
