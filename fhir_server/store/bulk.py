"""Many resources at once, each on its own: what loading and mapping write with.  https://hl7.org/fhir/R4/http.html#update"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, conflict, forbidden
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.store import definitions, guarding
from fhir_server.store.database import Database, Held
from fhir_server.store.errors import BUSY, DUPLICATE, mongo_errors, mongo_writes
from fhir_server.store.layout import AUDITED, SUPERSEDED, Document, key
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import Write, labelled, stored, superseded, unchanged, version_of
from fhir_server.store.where import Where, same, unsigned

BATCH = 1000
TOGETHER = 200
"""Consents that are written in one transaction."""
LANES = 3
"""Batches under way at a time."""
ATTEMPTS = 4
"""Another writer may be faster with some of a batch: these are compared and written again."""

Batch = dict[tuple[str, str], Resource]
"""Resources by type and id."""
Mark = Callable[[Document], Awaitable[Document]]
"""Shows of an AuditEvent that this server has written it."""
Change = tuple[Document, Document]
"""A document and the one that takes its place."""


class Put(NamedTuple):
    """What became of one resource."""

    version: Version
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Putting:
    """Puts in batches; the order of resources with the same id is kept."""

    database: Database
    tenant: Tenant
    where: Where
    clock: Callable[[], datetime]
    mark: Mark | None = None

    async def put(self, resources: Sequence[Resource]) -> list[Put]:
        """While one batch is being written the next is prepared."""
        done: list[Put] = []
        under_way: deque[tuple[Batch, asyncio.Task[list[Put]]]] = deque()
        try:
            for batch in _batches(resources):
                while under_way and (len(under_way) == LANES or not batch.keys().isdisjoint(under_way[-1][0])):
                    done += await under_way.popleft()[1]
                under_way.append((batch, asyncio.create_task(self._batch(list(batch.values())))))
            while under_way:
                done += await under_way.popleft()[1]
        finally:
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)
        return done

    async def unchanged(self, resources: Sequence[Resource]) -> list[Version | None]:
        """Of each the version that says the same already, if there is one."""
        states = await self._states(list(resources))
        found = [await self._put(each, states) for each in resources]
        return [each if isinstance(each, Version) else None for each in found]

    async def _batch(self, batch: list[Resource]) -> list[Put]:
        """What an earlier attempt stored looks unchanged in the next one, but is what this call did."""
        tried: dict[Version, Write] = {}
        for _ in range(ATTEMPTS):
            states = await self._states(batch)
            puts = [await self._put(resource, states) for resource in batch]
            writes = [each for each in puts if isinstance(each, Write)]
            tried |= {write.version: write for write in writes}
            if await self._stored(writes):
                return [_done(tried.get(each, each) if isinstance(each, Version) else each) for each in puts]
        raise conflict(BUSY)

    async def _states(self, batch: list[Resource]) -> Mapping[str, Document]:
        documents: list[Document] = []
        keys = ((resource["resourceType"], resource["id"]) for resource in batch)
        for held, part in self.database.parted(keys, itemgetter(0)):
            found = self.where.instances(part, Right.UPDATE)
            with mongo_errors:
                documents += await held.plain.find(found, SUPERSEDED, batch_size=len(part)).to_list()
        return {document["_id"]: document for document in documents}

    async def _put(self, resource: Resource, states: Mapping[str, Document]) -> Write | Version:
        """A write, or the version that says the same already."""
        resource = labelled(self.tenant, resource)
        resource_type, resource_id = resource["resourceType"], resource["id"]
        previous = states.get(key(self.tenant.name, resource_type, resource_id))
        if previous is not None:
            body = await self.database.bodies.body(previous)
            if unchanged(resource, previous, body):
                return version_of(self.tenant.name, previous, body)
        write = stored(self.tenant, resource, resource_id, "PUT", self.clock(), previous)
        allowed = self.where.allowed(resource_type, Right.UPDATE)
        if write.index and not allowed.permits(resource_type, resource_id, write.index):
            raise forbidden(f"This access token gives no right to write {resource_type}/{resource_id}.")
        guarding.check(self.tenant, self.where.caller, write)
        if self.mark and resource_type == AUDITED:
            return replace(write, document=await self.mark(write.document))
        return write

    async def _stored(self, writes: list[Write]) -> bool:
        """False where another writer was faster; then what is stored is compared again."""
        with mongo_errors:
            await self.database.bodies.expect([write.document for write in writes])
            pairs = [(write.previous, await self.database.bodies.moved_out(write.document)) for write in writes]
        moved_out = [document for _, document in pairs if "file" in document]
        try:
            done = await self._written(pairs)
        except FhirError as problem:
            if problem.status < 500:  # Otherwise nobody knows what was stored.
                await self._discard(moved_out)
            raise
        if not done:
            await self._discard(moved_out)
        return done

    async def _discard(self, moved_out: list[Document]) -> None:
        """Of the bodies that were moved out, those of versions that were not stored."""
        with mongo_errors:
            await self.database.bodies.discard(moved_out)

    async def _written(self, pairs: Sequence[tuple[Document | None, Document]]) -> bool:
        done = True
        for held, part in self.database.parted(pairs, lambda pair: str(pair[1]["rt"])):
            with mongo_writes:
                replaced = await self._replaced(held, [(old, new) for old, new in part if old is not None])
                inserted = await self._inserted(held, [new for old, new in part if old is None])
            done = done and replaced and inserted
        return done

    async def _inserted(self, held: Held, documents: list[Document]) -> bool:
        if not documents:
            return True
        try:
            await held.resources.insert_many(documents, ordered=False)
        except BulkWriteError as problem:
            if any(refused["code"] != DUPLICATE for refused in problem.details["writeErrors"]):
                raise
            return False
        return True

    async def _replaced(self, held: Held, changes: list[Change]) -> bool:
        if not changes:
            return True
        copies = [superseded(old) for old, _ in changes]
        kept = [UpdateOne(same(copy), {"$setOnInsert": copy}, upsert=True) for copy in copies]
        await self.database.history.bulk_write(kept, ordered=False)
        successors = [ReplaceOne(unsigned(old), new) for old, new in changes]
        result = await held.resources.bulk_write(successors, ordered=False)
        return result.matched_count == len(changes)


def _done(what: Write | Version) -> Put:
    if isinstance(what, Version):
        return Put(what, created=False, changed=False)
    return Put(what.version, created=what.previous is None or what.previous["del"], changed=True)


def few(resources: Sequence[Resource]) -> Iterator[Sequence[Resource]]:
    """As many as one transaction takes; of search parameters one, since what follows from it is long."""
    for resource_type, alike in groupby(resources, key=itemgetter("resourceType")):
        listed, size = list(alike), 1 if resource_type == definitions.TYPE else TOGETHER
        yield from (listed[start : start + size] for start in range(0, len(listed), size))


def _batches(resources: Iterable[Resource]) -> Iterator[Batch]:
    """Up to `BATCH` at a time; an id that comes again starts a new batch."""
    batch: Batch = {}
    for resource in resources:
        name = (resource["resourceType"], resource["id"])
        if name in batch or len(batch) == BATCH:
            yield batch
            batch = {}
        batch[name] = resource
    if batch:
        yield batch
