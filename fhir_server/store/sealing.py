"""How an encrypted tenant is stored: its bodies, and other values that say something of a person.

A resource that is one patient's is sealed under that patient's key, anything else under the tenant's data key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_server.crypto import envelope
from fhir_server.crypto.aead import SealBroken
from fhir_server.crypto.envelope import Place
from fhir_server.crypto.secret import Key
from fhir_server.fhir.outcome import gone
from fhir_server.fhir.resource import ID
from fhir_server.store.bodies import Bodies
from fhir_server.store.layout import Document
from fhir_server.store.vault import Vault, alarm

UNSEALED = frozenset({"AuditEvent"})
"""Types whose resources are stored as they are: the chain over them is verified without keys; they hold ids only."""
CLAIMS = "claims"
"""The kind of key that hides by which criteria something was claimed."""

LOGGER = logging.getLogger("fhir_server.store")


@dataclass(frozen=True, slots=True)
class Sealed:
    """Of a tenant that is encrypted."""

    vault: Vault
    tenant: str

    async def sealed(self, kind: str, name: str, plaintext: bytes) -> bytes:
        key = await self.vault.data_key(self.tenant)
        return envelope.seal(key, plaintext, Place(self.tenant, kind, name))

    async def opened(self, kind: str, name: str, kept: bytes) -> bytes:
        (found,) = await self.open([(bytes(kept), Place(self.tenant, kind, name))])
        if found is None:  # Its key was destroyed, which is refused as long as it opens anything.
            raise alarm()
        return found

    async def digest(self, text: str) -> str:
        return (await self.vault.purpose_key(self.tenant, CLAIMS)).mac(text.encode()).hex()

    async def patients(self, documents: Iterable[Document]) -> None:
        """Has the keys at hand that these will be sealed with."""
        wanted = {patient for each in documents if (patient := patient_of(each))}
        await self.vault.patient_keys(self.tenant, wanted)

    async def close(self, document: Document) -> tuple[Key, bytes]:
        """The body of a document sealed, and the key of that."""
        patient = patient_of(document)
        if patient is None:
            key = await self.vault.data_key(self.tenant)
        else:
            key = (await self.vault.patient_keys(self.tenant, [patient]))[patient]
        return key, envelope.seal(key, document["body"], self.place(document))

    async def open(self, found: Sequence[tuple[bytes, Place]]) -> list[bytes | None]:
        """The plaintexts, None where the key was destroyed; all of them or an alarm."""
        try:
            names = [envelope.key_id(blob) for blob, _ in found]
            keys = await self.vault.keys(self.tenant, names)
            return [
                envelope.unseal(keys[name], blob, place) if name in keys else None
                for name, (blob, place) in zip(names, found, strict=True)
            ]
        except SealBroken as problem:
            LOGGER.error("stored data of tenant %s did not open: %s", self.tenant, problem)
            raise alarm() from None

    def place(self, document: Document) -> Place:
        return Place(self.tenant, document["rt"], document["id"], str(document["v"]))


@dataclass(frozen=True, slots=True)
class UnderSeal:
    """Bodies of an encrypted tenant: sealed on their way in, opened on their way out, wherever they are between."""

    kept: Bodies
    seals: Sealed

    async def moved_out(self, document: Document) -> Document:
        """`k` says under which key, so that what is under one is found."""
        if not document["body"] or document["rt"] in UNSEALED:
            return await self.kept.moved_out(document)
        key, blob = await self.seals.close(document)
        return await self.kept.moved_out({**document, "body": blob, "k": key.id})

    async def body(self, document: Document) -> bytes:
        (found,) = await self.bodies([document])
        if found is None:
            raise gone(document["rt"], document["id"])
        return found

    async def bodies(self, documents: Sequence[Document]) -> list[bytes | None]:
        """A page at once. Only a deletion, which has no body, and what is never sealed are as they are stored."""
        kept = await self.kept.bodies(documents)
        sealed = [
            (number, (body or b"", self.seals.place(each)))
            for number, (each, body) in enumerate(zip(documents, kept, strict=True))
            if each["rt"] not in UNSEALED and (body or each.get("m") != "DELETE")
        ]
        opened = await self.seals.open([found for _, found in sealed])
        for (number, _), body in zip(sealed, opened, strict=True):
            kept[number] = body
        return kept

    async def expect(self, documents: Sequence[Document]) -> None:
        await self.seals.patients(each for each in documents if each["body"] and each["rt"] not in UNSEALED)

    async def remove(self, documents: Iterable[Document]) -> None:
        await self.kept.remove(documents)

    async def discard(self, documents: Iterable[Document]) -> None:
        await self.kept.discard(documents)

    async def outdate(self, documents: Sequence[Document]) -> None:
        await self.kept.outdate(documents)

    async def erase(self, tenant: str) -> None:
        await self.kept.erase(tenant)

    async def sweep(self, since: datetime, until: datetime) -> int:
        return await self.kept.sweep(since, until)


def patient_of(document: Document) -> str | None:
    """The one patient whose record a resource is part of: a Patient's own, else that of its only compartment."""
    if document["rt"] == "Patient":
        return str(document["id"])
    found = [each for each in document["cmp"] if each.startswith("Patient/")]
    patient = found[0].removeprefix("Patient/") if len(found) == 1 else ""
    return patient if ID.match(patient) else None
