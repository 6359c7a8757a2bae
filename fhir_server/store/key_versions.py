"""Versions of the keys of a tenant: listed, replaced, wrapped anew and destroyed, one document at a time.

A key is wrapped by the key that `FHIR_KEK` names or, where it is one patient's, by a version of the tenant's data key.
Every change is made only where the document is still what it was: of two who do the same, one does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne

from fhir_server.crypto import envelope
from fhir_server.crypto.secret import Key
from fhir_server.fhir.outcome import bad_value
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.kek.port import Kek, Rewrapping
from fhir_server.store.layout import Document
from fhir_server.store.vault import (
    ACTIVE,
    DATA,
    DESTROYED,
    PATIENT,
    RETIRED,
    Vault,
    context_of,
    id_of,
    key_document,
    name_of,
    place_of,
)

BATCH = 500


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """What is told of a key: never the key, wrapped or not."""

    key_id: str
    kind: str
    number: int
    state: str
    wrapped_by: str
    uses: int
    created: datetime
    retired: datetime | None = None
    destroyed: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyVersions:
    """Those of one tenant."""

    vault: Vault
    tenant: str

    async def listed(self, kind: str | None = None) -> list[KeyVersion]:
        """All but those of patients, each kind in order."""
        found = {"t": self.tenant, "kind": kind or {"$ne": PATIENT}}
        with mongo_errors:
            documents = await self.vault.collection.find(found).sort([("kind", 1), ("n", 1)]).to_list()
        return list(map(_version, documents))

    async def current(self, kind: str = DATA) -> KeyVersion:
        """The one that is sealed with; made where there is none."""
        await self.vault.purpose_key(self.tenant, kind)
        return (await self.listed(kind))[-1]

    async def patients(self) -> Mapping[str, int]:
        """How many keys of patients there are, by state."""
        counted: list[Document] = [
            {"$match": {"t": self.tenant, "kind": {"$in": [PATIENT]}}},
            {"$group": {"_id": "$state", "count": {"$sum": 1}}},
        ]
        with mongo_errors:
            found = await (await self.vault.collection.aggregate(counted)).to_list()
        return {each["_id"]: each["count"] for each in found}

    async def rotate(self, kind: str = DATA, following: KeyVersion | None = None) -> KeyVersion:
        """A new version to seal with; those before it only open from now on. 409 where one is there that follows."""
        number = (following or await self.current(kind)).number + 1
        key = Key.fresh(f"{kind}/{number}")
        kek = self.vault.required(self.tenant)
        wrapped = await self.vault.answered(kek.wrap(key.revealed(), context_of(self.tenant, key.id)))
        await self._insert(key_document(self.tenant, key, kind, number, wrapped, kek.name))
        await self.settle(kind)
        return (await self.listed(kind))[-1]

    async def settle(self, kind: str = DATA) -> list[str]:
        """Retires all but the newest version, also where a rotation was killed; answers the ids of those retired."""
        *older, _ = await self.listed(kind)
        active = [name_of(self.tenant, each.key_id) for each in older if each.state == ACTIVE]
        if active:
            change = {"$set": {"state": RETIRED, "retired": datetime.now(UTC)}}
            with mongo_writes:
                await self.vault.collection.update_many({"_id": {"$in": active}, "state": ACTIVE}, change)
        self.vault.forget(self.tenant)  # Another process may have made the newest.
        return [each.key_id for each in older if each.state != DESTROYED]

    async def renew_patients(self, made_before: datetime) -> list[str]:
        """Another key for each of the next patients whose key is older; answers the ids of the keys that retired.

        Who is shredded at the same moment has none in the end.
        """
        found = {"t": self.tenant, "kind": PATIENT, "state": ACTIVE, "created": {"$lt": made_before}}
        with mongo_errors:
            documents = await self.vault.collection.find(found, limit=BATCH).to_list()
        if not documents:
            return []
        data = await self.vault.data_key(self.tenant)
        await self.vault.insert([self._successor(each, data) for each in documents])
        names = [each["_id"] for each in documents]
        with mongo_writes:
            await self.vault.collection.update_many(
                {"_id": {"$in": names}, "state": ACTIVE},
                {"$set": {"state": RETIRED, "retired": datetime.now(UTC)}},
            )
            shredded = await self.vault.collection.find({"_id": {"$in": names}, "state": DESTROYED}).to_list()
        await self.destroy([_following(each) for each in shredded])
        self.vault.forget(self.tenant)
        return [id_of(each) for each in documents]

    async def retired_patients(self, after: str, until: datetime | None = None) -> list[str]:
        """The next keys of patients, by id, that only open, maybe since a while."""
        found: Document = {"t": self.tenant, "kind": PATIENT, "state": RETIRED}
        found |= {"_id": {"$gt": name_of(self.tenant, after)}, **({"retired": {"$lt": until}} if until else {})}
        with mongo_errors:
            documents = await self.vault.collection.find(found, {"_id": 1}, limit=BATCH).sort("_id").to_list()
        return [id_of(each) for each in documents]

    async def wrapped_by(self, key_id: str) -> int:
        """How many keys of patients open with this one."""
        with mongo_errors:
            return int(await self.vault.collection.count_documents({"t": self.tenant, "by": key_id}))

    async def wrap_anew(self, key_id: str) -> int:
        """Wraps the next keys of patients that open with this one by the current one; answers how many there were."""
        with mongo_errors:
            found = {"t": self.tenant, "by": key_id}
            documents = await self.vault.collection.find(found, limit=BATCH).to_list()
        if not documents:
            return 0
        old = (await self.vault.keys(self.tenant, [key_id]))[key_id]
        new = await self.vault.data_key(self.tenant)
        changes = [self._wrapped_anew(each, old, new) for each in documents]
        with mongo_writes:
            await self.vault.collection.bulk_write(changes, ordered=False)
        return len(documents)

    async def rewrap(self, formerly: Kek | None = None) -> int:
        """Wraps every key that the KEK wraps by its newest version, or by another than `formerly`; answers how many."""
        kek = self.vault.required(self.tenant)
        count = 0
        for each in await self._wrapped_by_keks():
            key_id = id_of(each)
            wrapped = await self._rewrapped(each, kek, formerly)
            change = {"$set": {"wrapped": wrapped, "by": kek.name, "rewrapped": datetime.now(UTC)}}
            with mongo_writes:
                done = await self.vault.collection.update_one({"_id": each["_id"], "wrapped": each["wrapped"]}, change)
            count += done.modified_count
            self.vault.forget(self.tenant, key_id)
        return count

    async def destroy(self, key_ids: Sequence[str], *, replaced: bool = False) -> None:
        """Forgets keys for good; what is left says that there were any, and whether another took their place."""
        names = [name_of(self.tenant, each) for each in key_ids]
        change = {"state": DESTROYED, "destroyed": datetime.now(UTC), "gone": not replaced}
        gone = {"$set": change, "$unset": {"wrapped": "", "by": ""}}
        with mongo_writes:
            await self.vault.collection.update_many({"_id": {"$in": names}, "state": {"$ne": DESTROYED}}, gone)
        for each in key_ids:
            self.vault.forget(self.tenant, each)

    async def of_patient(self, patient_id: str) -> list[KeyVersion]:
        """Every key that one patient has had."""
        name = name_of(self.tenant, f"{PATIENT}/{patient_id}")
        found = {"_id": {"$gte": f"{name}/", "$lt": f"{name}0"}}  # 0 is the character after the slash.
        with mongo_errors:
            documents = await self.vault.collection.find(found).sort("_id").to_list()
        return list(map(_version, documents))

    async def gone(self) -> frozenset[str]:
        """The ids of patients for whom nothing is ever sealed again."""
        found = {"t": self.tenant, "kind": PATIENT, "state": DESTROYED, "gone": True}
        with mongo_errors:
            documents = await self.vault.collection.find(found, {"_id": 1}).to_list()
        return frozenset(id_of(each).split("/")[1] for each in documents)

    async def forbid_patient(self, patient_id: str) -> None:
        """A destroyed key for one who has none, so that nothing is ever sealed for this patient."""
        key = Key.fresh(f"{PATIENT}/{patient_id}/1")
        document = {**key_document(self.tenant, key, PATIENT, 1, b"", ""), "state": DESTROYED, "gone": True}
        await self.vault.insert([{name: value for name, value in document.items() if name not in ("wrapped", "by")}])

    async def _insert(self, document: Document) -> None:
        """409 where another has made the same version at the same time."""
        with mongo_writes:
            await self.vault.collection.insert_one(document)

    async def _wrapped_by_keks(self) -> list[Document]:
        found = {"t": self.tenant, "kind": {"$ne": PATIENT}, "state": {"$ne": DESTROYED}}
        with mongo_errors:
            return await self.vault.collection.find(found).sort("_id").to_list()

    async def _rewrapped(self, document: Document, kek: Kek, formerly: Kek | None) -> bytes:
        context, wrapped = context_of(self.tenant, id_of(document)), bytes(document["wrapped"])
        if document["by"] == kek.name and isinstance(kek, Rewrapping):
            return await self.vault.answered(kek.rewrap(wrapped, context))
        opening = next((each for each in (kek, formerly) if each and each.name == document["by"]), None)
        if opening is None:
            raise bad_value(
                f"The key {id_of(document)} of '{self.tenant}' is wrapped by {document['by']}, and FHIR_KEK is "
                f"{kek.name}: name the former one with --from."
            )
        return await self.vault.answered(kek.wrap(await self.vault.answered(opening.unwrap(wrapped, context)), context))

    def _wrapped_anew(self, document: Document, old: Key, new: Key) -> UpdateOne:
        place = place_of(self.tenant, id_of(document))
        wrapped = envelope.seal(new, envelope.unseal(old, bytes(document["wrapped"]), place), place)
        change = {"wrapped": wrapped, "by": new.id}
        return UpdateOne({"_id": document["_id"], "wrapped": document["wrapped"]}, {"$set": change})

    def _successor(self, document: Document, data: Key) -> Document:
        key = Key.fresh(_following(document))
        wrapped = envelope.seal(data, key.revealed(), place_of(self.tenant, key.id))
        return key_document(self.tenant, key, PATIENT, document["n"] + 1, wrapped, data.id)


def _following(document: Document) -> str:
    """The id of the next key of the same patient."""
    return f"{id_of(document).rpartition('/')[0]}/{document['n'] + 1}"


def _version(document: Document) -> KeyVersion:
    more: dict[str, Any] = {name: document.get(name) for name in ("retired", "destroyed")}
    return KeyVersion(
        id_of(document),
        document["kind"],
        document["n"],
        document["state"],
        document.get("by", ""),
        document["uses"],
        document["created"],
        **more,
    )
