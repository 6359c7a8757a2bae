"""Bodies too large for their document, kept in GridFS; whoever reads a version does not notice.
https://www.mongodb.com/docs/manual/core/gridfs/
"""

# ruff: noqa: ARG002 - where nothing is moved out there is nothing to remove

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gridfs.asynchronous import AsyncGridFSBucket
from gridfs.errors import NoFile
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.fhir.outcome import too_long
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import AUDIT, AUDITED, BODIES, HISTORY, RESOURCES, Document, key_range

THRESHOLD = 2**20
"""One megabyte: a document of MongoDB holds 16, and a page of large ones would have to pass through memory."""

LARGEST = 256 * 2**20
STALE = "metadata.stale"
"""Since when a file has had a successor."""

Database = AsyncDatabase[dict[str, Any]]


class Bodies(Protocol):
    """Where bodies are: GridFS, or simply the document when the store is in memory."""

    async def moved_out(self, document: Document) -> Document: ...

    async def body(self, document: Document) -> bytes: ...

    async def bodies(self, documents: Sequence[Document]) -> list[bytes | None]:
        """Of a page; None where what was stored can never be read again."""
        ...

    async def expect(self, documents: Sequence[Document]) -> None:
        """These are about to be moved out, one after the other."""
        ...

    async def remove(self, documents: Iterable[Document]) -> None: ...

    async def discard(self, documents: Iterable[Document]) -> None: ...

    async def outdate(self, documents: Sequence[Document]) -> None:
        """These are about to be kept anew; whoever is reading them reads them to the end."""
        ...

    async def erase(self, tenant: str) -> None: ...

    async def sweep(self, since: datetime, until: datetime) -> int: ...


class InDocument:
    """All bodies stay in their documents."""

    async def moved_out(self, document: Document) -> Document:
        return document

    async def body(self, document: Document) -> bytes:
        return bytes(document["body"])

    async def bodies(self, documents: Sequence[Document]) -> list[bytes | None]:
        return [each["body"] for each in documents]

    async def expect(self, documents: Sequence[Document]) -> None:
        """There is nothing to prepare."""

    async def remove(self, documents: Iterable[Document]) -> None:
        """They go with their documents."""

    async def discard(self, documents: Iterable[Document]) -> None:
        """They go with their documents."""

    async def outdate(self, documents: Sequence[Document]) -> None:
        """They go with their documents."""

    async def erase(self, tenant: str) -> None:
        """They go with their documents."""

    async def sweep(self, since: datetime, until: datetime) -> int:
        """Nothing can be left behind."""
        return 0


class InGridFs:
    """Large bodies in a GridFS bucket; the document then has their key as `file` and an empty `body`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bucket = AsyncGridFSBucket(database, BODIES)

    async def moved_out(self, document: Document) -> Document:
        """Written before the document that names it: a failure between the two leaves a file, never a missing body."""
        body: bytes = document["body"]
        if len(body) <= THRESHOLD:
            return document
        if len(body) > LARGEST:
            raise too_long(f"The resource has {len(body):,} bytes; this server stores {LARGEST:,} at most.")
        file = f"{document['_id']}|{document['v']}|{uuid7()}"
        await self._bucket.upload_from_stream_with_id(file, document["_id"], body)
        return {**document, "body": b"", "file": file}

    async def body(self, document: Document) -> bytes:
        file = document.get("file")
        if file is None:
            return bytes(document["body"])
        stream = await self._bucket.open_download_stream(file)
        return bytes(await stream.read())

    async def bodies(self, documents: Sequence[Document]) -> list[bytes | None]:
        """Most are in their documents and need no waiting."""
        return [await self.body(each) if "file" in each else each["body"] for each in documents]

    async def expect(self, documents: Sequence[Document]) -> None:
        """There is nothing to prepare."""

    async def remove(self, documents: Iterable[Document]) -> None:
        """After a write that failed."""
        for document in documents:
            if "file" in document:
                await self._delete(document["file"])

    async def discard(self, documents: Iterable[Document]) -> None:
        """After a write of many, of which some may be stored: the bodies of the others."""
        for document in documents:
            if not await self._named(document["file"]):
                await self._delete(document["file"])

    async def outdate(self, documents: Sequence[Document]) -> None:
        """A writer may still copy the old name to the history: like what was left behind, files go an hour later."""
        files = [each["file"] for each in documents if "file" in each]
        if files:
            stale = {"$set": {STALE: datetime.now(UTC)}}
            await self._database[f"{BODIES}.files"].update_many({"_id": {"$in": files}}, stale)

    async def erase(self, tenant: str) -> None:
        await self._database[f"{BODIES}.chunks"].delete_many({"files_id": key_range(tenant)})
        await self._database[f"{BODIES}.files"].delete_many({"_id": key_range(tenant)})

    async def sweep(self, since: datetime, until: datetime) -> int:
        """Removes what was kept anew, or left behind by a process that was killed; answers how many files."""
        swept = 0
        written = {"$or": [{"uploadDate": {"$gte": since, "$lt": until}}, {STALE: {"$lt": until}}]}
        async for file in self._database[f"{BODIES}.files"].find(written, {"_id": 1}):
            if not await self._named(file["_id"]):
                await self._delete(file["_id"])
                swept += 1
        return swept

    async def _named(self, file: str) -> bool:
        """A file is named by the version it was written for, which is current or in the history."""
        current, version_id, _ = file.rsplit("|", 2)
        held = AUDIT if current.split("|", 2)[1] == AUDITED else RESOURCES
        for collection, found in ((held, current), (HISTORY, f"{current}|{version_id}")):
            document = await self._database[collection].find_one({"_id": found}, {"file": 1})
            if document and document.get("file") == file:
                return True
        return False

    async def _delete(self, file: str) -> None:
        try:
            await self._bucket.delete(file)
        except NoFile:
            return


ABANDONED = timedelta(hours=1)
"""No write takes this long: a file that no document names by then is left over."""
