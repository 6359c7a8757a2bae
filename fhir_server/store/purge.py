"""Destroying the record of a person: current versions, history, large bodies, index entries, and rows as read.

What is about to go is written down before anything goes, so that a process that dies leaves the rest to the next, which
can still say what it was. Audit stays; so does what is also in the compartment of somebody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.access.right import Right
from fhir_server.search import compartment
from fhir_server.store import rules
from fhir_server.store.database import Collection, Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document, Filter, key
from fhir_server.store.mappings import forget_rows
from fhir_server.store.tenants import Tenant
from fhir_server.store.where import Where

AUDIT = "AuditEvent"
PATIENT = "Patient"
KIND = "retention/purge"
HASHED = {"_id": 1, "rt": 1, "id": 1, "v": 1, "m": 1, "cmp": 1, "body": 1, "file": 1}
NAMED = {"_id": 1, "rt": 1, "id": 1, "v": 1, "cmp": 1, "file": 1}
BATCH = 500


@dataclass(frozen=True, slots=True)
class Purged:
    """What a certificate says of one person, or of strays: resources by type, versions, and a digest over all of them.

    The digest is SHA-256 over one line a version, `Type/id/version` and the SHA-256 of its body, sorted.
    """

    person: tuple[str, ...]
    reason: Mapping[str, Any]
    resources: Mapping[str, int]
    versions: int
    digest: str
    kept: int = 0
    """Resources that stay because they are also in the compartment of somebody else."""

    def as_document(self) -> Document:
        given = {"person": [*self.person], "resources": dict(self.resources), "reason": dict(self.reason)}
        return {**given, "versions": self.versions, "digest": self.digest, "kept": self.kept}


@dataclass(frozen=True, slots=True)
class Purge:
    """Of one tenant."""

    database: Database
    tenant: Tenant

    async def destroy(self, person: Sequence[str], reason: Mapping[str, Any]) -> None:
        """Everything of a person; where an earlier attempt was cut short, what it had written down counts."""
        name = person[0].partition("/")[2]
        going, kept = await self._going(person)
        if await self._noted(name) is None:
            lines = await self._tallied(going)
            resources = Counter(each["rt"] for each in going)
            await self._note(name, Purged(tuple(person), reason, resources, len(lines), _digest(lines), kept))
        await self._destroyed(going)
        await self._done(name)

    async def sweep(self, persons: Iterable[str], certificate: str) -> None:
        """What else there is of those who are gone: shares, and versions of what belongs to others now."""
        gone = set(persons)
        await self._shares_forgotten(gone)
        found = self._where().record(gone, self._types(), Right.DELETE)
        read = self._read(self.database.history, found, HASHED)
        strays = [each async for each in read if gone.issuperset(each["cmp"])]
        if await self._noted(certificate) is None:
            tally = await self._lines(strays)
            await self._note(certificate, Purged((), {}, {}, len(tally), _digest(tally)), certificate)
        await self._removed(strays)
        await self._done(certificate)

    async def unfinished(self) -> list[tuple[str, ...]]:
        """The persons whose destruction was begun and is not over."""
        return [tuple(each["person"]) for each in await self._notes({"done": False}) if each["person"]]

    async def claim(self, certificate: str) -> bool:
        """What is destroyed and on no certificate is to be on this one; whether there is anything."""
        found = {**self._kind(), "done": True, "certificate": None}
        with mongo_writes:
            await self.database.features.update_many(found, {"$set": {"certificate": certificate}})
        return bool(await self.claimed(certificate))

    async def claims(self) -> list[str]:
        """Certificates that were begun and perhaps not issued."""
        notes = await self._notes({"certificate": {"$ne": None}})
        return list(dict.fromkeys(each["certificate"] for each in notes))

    async def claimed(self, certificate: str) -> list[Purged]:
        return [_purged(each) for each in await self._notes({"certificate": certificate})]

    async def certified(self, certificate: str) -> None:
        """What was destroyed is on the certificate, and needs no note of its own."""
        found = {**self._kind(), "certificate": certificate}
        with mongo_writes:
            await self.database.features.delete_many(found)

    async def count(self, person: Sequence[str]) -> int:
        """How many resources would go."""
        return len((await self._going(person))[0])

    def _where(self) -> Where:
        return Where(self.tenant.name, Caller.system(self.tenant.name, "retention"))

    def _types(self) -> tuple[str, ...]:
        return tuple(each for each in compartment.members(PATIENT) if each != AUDIT)

    async def _going(self, person: Sequence[str]) -> tuple[list[Document], int]:
        """What is in no living compartment but those of the person, and how much else there is."""
        found = self._where().record(person, self._types(), Right.DELETE)
        documents = [each async for each in self._read(self.database.plain, found, NAMED)]
        others = {name for each in documents for name in each["cmp"]} - set(person)
        living = await self._living(others)
        going = [each for each in documents if living.isdisjoint(each["cmp"])]
        return going, len(documents) - len(going)

    async def _living(self, patients: Iterable[str]) -> set[str]:
        keys = [(PATIENT, each.partition("/")[2]) for each in patients]
        if not keys:
            return set()
        found = self._where().instances(keys, Right.READ)
        return {f"{PATIENT}/{each['id']}" async for each in self._read(self.database.plain, found, NAMED)}

    async def _tallied(self, going: Sequence[Document]) -> list[str]:
        """A line for each version there is of them."""
        lines: list[str] = []
        for batch in _batches(going):
            keys = [(each["rt"], each["id"]) for each in batch]
            current = self._read(self.database.plain, self._where().instances(keys, Right.DELETE), HASHED)
            past = self._read(self.database.history, self._where().past(keys, Right.DELETE), HASHED)
            for documents in (current, past):
                lines += await self._lines([each async for each in documents])
        return lines

    async def _lines(self, documents: Iterable[Document]) -> list[str]:
        """Of a body that can never be read again the digest is that of nothing."""
        listed = list(documents)
        with mongo_errors:
            bodies = await self.database.bodies.bodies(listed)
        hashed = [(each, sha256(body or b"").hexdigest()) for each, body in zip(listed, bodies, strict=True)]
        return [f"{each['rt']}/{each['id']}/{each['v']} {found}" for each, found in hashed]

    async def _destroyed(self, going: Sequence[Document]) -> None:
        """The Patients last: as long as one is there, whatever is written meanwhile is found again."""
        for is_last in (False, True):
            for batch in _batches([each for each in going if (each["rt"] == PATIENT) == is_last]):
                keys = [(each["rt"], each["id"]) for each in batch]
                past = self._where().past(keys, Right.DELETE)
                await self._removed([each async for each in self._read(self.database.history, past, NAMED)])
                await forget_rows(self.database, self.tenant.name, keys)
                await rules.forget(self.database, self.tenant.name, [each for name, each in keys if name == rules.TYPE])
                await self._bodies_removed(batch)
                with mongo_writes:
                    await self.database.resources.delete_many(self._where().instances(keys, Right.DELETE))

    async def _removed(self, versions: Sequence[Document]) -> None:
        """Versions of the history with their bodies."""
        await self._bodies_removed(versions)
        for batch in _batches(versions):
            numbered = [(each["rt"], each["id"], each["v"]) for each in batch]
            with mongo_writes:
                await self.database.history.delete_many(self._where().numbered(numbered, Right.DELETE))

    async def _bodies_removed(self, documents: Iterable[Document]) -> None:
        with mongo_writes:
            await self.database.bodies.remove(documents)

    async def _shares_forgotten(self, persons: Iterable[str]) -> None:
        found = {"tenant_id": self.tenant.name, "feature": "sharing", "subject": {"$in": list(persons)}}
        with mongo_writes:
            await self.database.features.delete_many(found)

    async def _read(self, collection: Collection, found: Filter, wanted: Filter) -> AsyncIterator[Document]:
        with mongo_errors:
            async for document in collection.find(found, wanted):
                yield document

    def _kind(self) -> Document:
        feature, _, name = KIND.partition("/")
        return {"tenant_id": self.tenant.name, "feature": feature, "kind": name}

    async def _noted(self, name: str) -> Document | None:
        found = {"_id": key(self.tenant.name, KIND, name)}
        with mongo_errors:
            return await self.database.features.find_one(found)

    async def _notes(self, more: Filter) -> list[Document]:
        found = {**self._kind(), **more}
        with mongo_errors:
            return await self.database.features.find(found).sort([("id", 1)]).to_list()

    async def _note(self, name: str, purged: Purged, certificate: str | None = None) -> None:
        """Before anything goes."""
        found = {"_id": key(self.tenant.name, KIND, name)}
        about = {"id": name, "done": False, "certificate": certificate}
        note = {**found, **self._kind(), **about, **purged.as_document()}
        with mongo_writes:
            await self.database.features.update_one(found, {"$setOnInsert": note}, upsert=True)

    async def _done(self, name: str) -> None:
        found = {"_id": key(self.tenant.name, KIND, name)}
        with mongo_writes:
            await self.database.features.update_one(found, {"$set": {"done": True}})


def _digest(lines: Iterable[str]) -> str:
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _purged(note: Mapping[str, Any]) -> Purged:
    numbers = (note["resources"], note["versions"], note["digest"], note["kept"])
    return Purged(tuple(note["person"]), note["reason"], *numbers)


def _batches(documents: Sequence[Document]) -> Iterable[Sequence[Document]]:
    return (documents[at : at + BATCH] for at in range(0, len(documents), BATCH))
