"""The keys of tenants: kept wrapped, opened when they are needed, and forgotten after five minutes.

The key that wraps (`FHIR_KEK`) wraps for each tenant versions of a data key and keys of other purposes; the data key
wraps a key for each patient, so that destroying that one makes all that it sealed unreadable, wherever a copy is.
A key document is `{_id: tenant|key id, t, kind, n, state, wrapped, by, uses, created}`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import NamedTuple

from pymongo.errors import BulkWriteError

from fhir_server.crypto import envelope
from fhir_server.crypto.aead import SealBroken
from fhir_server.crypto.envelope import Place
from fhir_server.crypto.secret import Key
from fhir_server.fhir.outcome import FhirError, bad_value, error, transient
from fhir_server.store.database import Collection
from fhir_server.store.errors import DUPLICATE, mongo_errors, mongo_writes
from fhir_server.store.kek.port import Kek, KekError
from fhir_server.store.layout import Document

DATA = "data"
"""The kind of key that seals what is no single patient's, and wraps the keys of patients."""
PATIENT = "patient"
INDEX = "index"
"""The kind of key that blinds what searches look for."""

ACTIVE = "active"
RETIRED = "retired"
"""Still opens what it sealed, and seals nothing more."""
DESTROYED = "destroyed"

REMEMBERED = 300.0
"""Seconds for which an opened key is kept."""
CURRENT = 5.0
"""Seconds in which every process learns that another key is to be sealed with, or none."""
MOST = 20_000
"""Opened keys that are kept."""
PATIENCE = 5.0
"""Seconds within which the key that wraps has to answer."""

LOCKED = "The keys of this tenant cannot be opened at the moment. Please send the request again."
ALARM = "Stored data could not be opened: it was changed, or belongs elsewhere. The operator has been told."
_UNKEYED = "Tenant '{}' is encrypted, and FHIR_KEK names no key to open it with."


class Remembered(NamedTuple):
    until: float
    key: Key


class Vault:
    """The keys of all tenants of a store; without a `kek` there are none."""

    def __init__(self, collection: Collection, kek: Kek | None) -> None:
        self.kek = kek
        self.collection = collection
        self._opened: OrderedDict[str, Remembered] = OrderedDict()
        self._current: dict[str, tuple[float, str]] = {}
        self._lock = asyncio.Lock()

    async def data_key(self, tenant: str) -> Key:
        """The one to seal with."""
        return await self.purpose_key(tenant, DATA)

    async def purpose_key(self, tenant: str, kind: str) -> Key:
        """The newest of a kind, made when first asked for; any word is a kind but `patient`."""
        name = f"{tenant}|{kind}"
        known = self._current.get(name)
        key = self._remembered(tenant, known[1]) if known and known[0] > monotonic() else None
        if key is not None:
            return key
        async with self._lock:
            key = await self._newest(tenant, kind) or await self._made(tenant, kind)
        self._current[name] = (monotonic() + CURRENT, key.id)
        return key

    async def patient_keys(self, tenant: str, patients: Iterable[str]) -> dict[str, Key]:
        """The ones to seal with, by the logical id of the patient; those that are missing are made."""
        wanted = dict.fromkeys(patients)
        found = {each: key for each in wanted if (key := self._at_hand(tenant, each))}
        missing = [each for each in wanted if each not in found]
        if missing:
            found |= await self._of_patients(tenant, missing)
        return found

    async def keys(self, tenant: str, key_ids: Iterable[str]) -> dict[str, Key]:
        """Keys to open with, by id. One that was destroyed is left out; one that never was is an alarm."""
        wanted = dict.fromkeys(key_ids)
        found = {each: key for each in wanted if (key := self._remembered(tenant, each))}
        missing = [name_of(tenant, each) for each in wanted if each not in found]
        if missing:
            with mongo_errors:
                documents = await self.collection.find({"_id": {"$in": missing}}).to_list()
            if len(documents) < len(missing):
                raise alarm()
            found |= await self._open(tenant, documents)
        return found

    def known(self, tenant: str, key_id: str) -> Key | None:
        """A key that is open already."""
        return self._remembered(tenant, key_id)

    def forget(self, tenant: str, key_id: str | None = None) -> None:
        """This process opens the key again when it needs it: for whoever has changed its document."""
        for name in [each for each in self._opened if each.startswith(f"{tenant}|")]:
            if key_id is None or name == name_of(tenant, key_id):
                del self._opened[name]
        for name in [each for each in self._current if each.startswith(f"{tenant}|")]:
            del self._current[name]

    def required(self, tenant: str) -> Kek:
        if self.kek is None:
            raise error("exception", _UNKEYED.format(tenant), status=503)
        return self.kek

    def refuse_unkeyed(self, tenant: str) -> None:
        """Encryption was asked for where there is nothing to wrap its keys with."""
        if self.kek is None:
            raise bad_value(f"Tenant '{tenant}' cannot be encrypted: FHIR_KEK names no key that would wrap its keys.")

    async def _newest(self, tenant: str, kind: str) -> Key | None:
        found = {"_id": _versions(tenant, kind), "state": ACTIVE}
        with mongo_errors:
            documents = await self.collection.find(found).sort([("n", -1)]).limit(1).to_list()
        if not documents:
            return None
        key = self._remembered(tenant, id_of(documents[0]))
        if key is None:
            return (await self._open(tenant, documents))[id_of(documents[0])]
        await self._note_uses(tenant, key)
        return key

    async def _note_uses(self, tenant: str, key: Key) -> None:
        """Roughly how often it has sealed, over all processes: a key is for 2^32 values at most."""
        uses, key.uses = key.uses, 0
        if uses:
            with mongo_writes:
                await self.collection.update_one({"_id": name_of(tenant, key.id)}, {"$inc": {"uses": uses}})

    async def _made(self, tenant: str, kind: str, n: int = 1) -> Key:
        """Whoever is first decides; the key of another was never used."""
        key = Key.fresh(f"{kind}/{n}")
        wrapped = await self.answered(self.required(tenant).wrap(key.revealed(), context_of(tenant, key.id)))
        await self.insert([key_document(tenant, key, kind, n, wrapped, self.required(tenant).name)])
        found = (await self.keys(tenant, [key.id])).get(key.id)
        if found is None:
            raise alarm()
        return found

    async def _of_patients(self, tenant: str, patients: Sequence[str]) -> dict[str, Key]:
        found = await self._active(tenant, patients)
        missing = [each for each in patients if each not in found]
        if missing:
            data = await self.data_key(tenant)
            made = [Key.fresh(f"{PATIENT}/{each}/1") for each in missing]
            kept = [(key, envelope.seal(data, key.revealed(), place_of(tenant, key.id))) for key in made]
            documents = [key_document(tenant, key, PATIENT, 1, wrapped, data.id) for key, wrapped in kept]
            taken = await self.insert(documents)
            mine = {each: key for each, key in zip(missing, made, strict=True) if name_of(tenant, key.id) not in taken}
            for key in mine.values():
                self._remember(tenant, key.id, key)
            found |= mine | (
                await self._active(tenant, [each for each in missing if each not in mine]) if taken else {}
            )
        refused = next((each for each in patients if each not in found), None)
        if refused is not None:
            raise error("deleted", f"The records of Patient/{refused} were destroyed; nothing more is kept under them.")
        until = monotonic() + CURRENT
        if len(self._current) > MOST:
            self._current.clear()
        self._current |= {f"{tenant}|{PATIENT}/{each}": (until, key.id) for each, key in found.items()}
        return found

    async def _active(self, tenant: str, patients: Sequence[str]) -> dict[str, Key]:
        """Mostly the first key of each; of those where it is not active any more the next, if any."""
        found: dict[str, Key] = {}
        number, left = 1, list(patients)
        while left:
            names = {name_of(tenant, f"{PATIENT}/{each}/{number}"): each for each in left}
            with mongo_errors:
                documents = await self.collection.find({"_id": {"$in": list(names)}}).to_list()
            active = [each for each in documents if each["state"] == ACTIVE]
            opened = await self._open(tenant, active)
            found |= {names[each["_id"]]: opened[id_of(each)] for each in active}
            left = [names[each["_id"]] for each in documents if each["state"] != ACTIVE]
            number += 1
        return found

    async def insert(self, documents: Sequence[Document]) -> frozenset[str]:
        """The keys of documents that were there already: whoever is first decides."""
        with mongo_writes:
            try:
                await self.collection.insert_many(documents, ordered=False)
            except BulkWriteError as problem:
                refused = problem.details["writeErrors"]
                if any(each["code"] != DUPLICATE for each in refused):
                    raise
                return frozenset(documents[each["index"]]["_id"] for each in refused)
        return frozenset()

    async def _open(self, tenant: str, documents: Sequence[Document]) -> dict[str, Key]:
        """Those that are not destroyed, from now on remembered."""
        kept = [each for each in documents if each["state"] != DESTROYED]
        wrapping = {each["by"] for each in kept if each["by"].startswith(f"{DATA}/")}
        data = await self.keys(tenant, wrapping) if wrapping else {}
        opened = {id_of(each): self._remembered(tenant, id_of(each)) for each in kept}
        for each in kept:
            opened[id_of(each)] = opened[id_of(each)] or Key(id_of(each), await self._unwrapped(tenant, each, data))
        found = {name: key for name, key in opened.items() if key}
        for name, key in found.items():
            self._remember(tenant, name, key)
        return found

    async def _unwrapped(self, tenant: str, document: Document, data: dict[str, Key]) -> bytes:
        name = id_of(document)
        if document["by"] not in data:
            kek = self.required(tenant)
            return await self.answered(kek.unwrap(bytes(document["wrapped"]), context_of(tenant, name)))
        try:
            return envelope.unseal(data[document["by"]], bytes(document["wrapped"]), place_of(tenant, name))
        except SealBroken as problem:
            raise alarm() from problem

    @staticmethod
    async def answered(answer: Awaitable[bytes]) -> bytes:
        """A key service that does not answer is not waited for; what is open stays usable meanwhile."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except (TimeoutError, KekError) as problem:
            raise transient(LOCKED, retry_after=5) from problem

    def _at_hand(self, tenant: str, patient: str) -> Key | None:
        known = self._current.get(f"{tenant}|{PATIENT}/{patient}")
        return self._remembered(tenant, known[1]) if known and known[0] > monotonic() else None

    def _remembered(self, tenant: str, key_id: str) -> Key | None:
        found = self._opened.get(name_of(tenant, key_id))
        return found.key if found and found.until > monotonic() else None

    def _remember(self, tenant: str, key_id: str, key: Key) -> None:
        """From the moment it was opened, however often it is used."""
        name = name_of(tenant, key_id)
        if self._remembered(tenant, key_id) is key:
            return
        self._opened.pop(name, None)
        self._opened[name] = Remembered(monotonic() + REMEMBERED, key)
        if len(self._opened) > MOST:
            self._opened.popitem(last=False)


def alarm() -> FhirError:
    """What cannot be opened is told to nobody in part."""
    return error("exception", ALARM, status=503)


def name_of(tenant: str, key_id: str) -> str:
    return f"{tenant}|{key_id}"


def id_of(document: Document) -> str:
    return str(document["_id"]).partition("|")[2]


def _versions(tenant: str, kind: str) -> Document:
    """Every key of a kind: `0` is the character after the slash."""
    return {"$gte": f"{tenant}|{kind}/", "$lt": f"{tenant}|{kind}0"}


def context_of(tenant: str, key_id: str) -> dict[str, str]:
    return {"tenant": tenant, "key": key_id}


def place_of(tenant: str, key_id: str) -> Place:
    return Place(tenant, "encryption-key", key_id)


def key_document(tenant: str, key: Key, kind: str, n: int, wrapped: bytes, by: str) -> Document:
    return {
        "_id": name_of(tenant, key.id),
        "t": tenant,
        "kind": kind,
        "n": n,
        "state": ACTIVE,
        "wrapped": wrapped,
        "by": by,
        "uses": 0,
        "created": datetime.now(UTC),
    }
