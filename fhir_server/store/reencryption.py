"""What an older key has sealed, sealed by the current one: bodies mean the same, and versions stay what they are.

Resources are read and written meanwhile. A body is replaced only where it is still that of the same version under the
same key; a large one is written to a new file, and the old file goes when nobody can be reading it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pymongo import UpdateOne

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.database import Collection, Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document, key
from fhir_server.store.where import sealed_by, still_sealed

BATCH = 100
"""So many take some ten milliseconds."""
READ = {"_id": 1, "t": 1, "rt": 1, "id": 1, "v": 1, "m": 1, "cmp": 1, "body": 1, "file": 1, "k": 1}


@dataclass(frozen=True, slots=True)
class Batch:
    """`reached` is the last key that was looked at; None where there was nothing left."""

    reached: str | None
    done: int
    broken: int = 0
    """Of those that do not open, and so stay as they are."""


@dataclass(frozen=True, slots=True)
class Reencryption:
    """Of one tenant; first what is current, then the history."""

    database: Database
    tenant: str

    @property
    def collections(self) -> tuple[Collection, ...]:
        return (self.database.resources, self.database.history)

    async def count(self, key_ids: Sequence[str]) -> int:
        """How many versions are sealed by one of these."""
        found = sealed_by(self.tenant, key_ids)
        with mongo_errors:
            return sum([await each.count_documents(found) for each in self.collections])

    async def used(self, key_ids: Sequence[str]) -> frozenset[str]:
        """Those that have sealed anything that is there."""
        found = sealed_by(self.tenant, key_ids)
        with mongo_errors:
            return frozenset([name for each in self.collections for name in await each.distinct("k", found)])

    async def batch(self, collection: Collection, key_ids: Sequence[str], after: str) -> Batch:
        """The next of what some keys have sealed."""
        found = sealed_by(self.tenant, key_ids, after)
        with mongo_errors:
            documents = await collection.find(found, READ, limit=BATCH).sort("_id").to_list()
        if not documents:
            return Batch(None, 0)
        opened = [(each, body) for each, body in zip(documents, await self._bodies(documents), strict=True) if body]
        replaced = await self._replace(collection, opened)
        return Batch(documents[-1]["_id"], replaced, len(documents) - len(opened))

    async def _bodies(self, documents: Sequence[Document]) -> list[bytes | None]:
        """All at once; one by one where some do not open, so that these do not stop the others."""
        try:
            with mongo_errors:
                return await self.database.bodies.bodies(documents)
        except FhirError as problem:
            if len(documents) == 1 and problem.issues[0].code == "exception":
                return [None]
            if problem.issues[0].code != "exception":
                raise
        return [(await self._bodies([each]))[0] for each in documents]

    async def _replace(self, collection: Collection, opened: Iterable[tuple[Document, bytes]]) -> int:
        pairs = [(each, {**_bare(each), "body": body}) for each, body in opened]
        if not pairs:
            return 0
        with mongo_writes:
            await self.database.bodies.expect([document for _, document in pairs])
            await self.database.bodies.outdate([before for before, _ in pairs])
            sealed = [(before, await self.database.bodies.moved_out(document)) for before, document in pairs]
            changes = [_change(before, after) for before, after in sealed]
            return (await collection.bulk_write(changes, ordered=False)).matched_count


def _bare(document: Document) -> Document:
    """Files are named after the current document, whichever version is in them."""
    kept = {name: value for name, value in document.items() if name not in ("file", "k")}
    return {**kept, "_id": key(document["t"], document["rt"], document["id"])}


def _change(before: Document, after: Document) -> UpdateOne:
    """The guard of both: the version, and the key."""
    kept = {name: after[name] for name in ("body", "k", "file") if name in after}
    moved_in = {"$unset": {"file": ""}} if "file" in before and "file" not in after else {}
    return UpdateOne(still_sealed(before), {"$set": kept, **moved_in})
