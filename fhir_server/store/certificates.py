"""Certificates: signed documents that say what was destroyed, when, by which rule and with whose approval.

A certificate is a compact JWS over its canonical JSON with the key that signs the tenant's tokens, and names nobody
but by id. There is no way to change or remove one, short of erasing the tenant.  RFC 7515
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.crypto import base64url
from fhir_server.fhir.outcome import not_found
from fhir_server.fhir.resource import instant
from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.ids import NewId, uuid7
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import Document

ALGORITHM = "ES384"
TYPE = "certificate+jws"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`signed` is the whole of it; the other fields repeat what it says."""

    tenant: str
    name: str
    kind: str
    issued: datetime
    signed: str

    @property
    def content(self) -> dict[str, Any]:
        """What the signature covers."""
        encoded = self.signed.split(".")[1]
        found: dict[str, Any] = json.loads(base64url.decoded(encoded))
        return found


class Certificates:
    """Those of all tenants."""

    def __init__(self, collection: Collection, keys: TenantKeys, new_id: NewId = uuid7) -> None:
        self._collection = collection
        self._keys = keys
        self.new_name = new_id

    async def issue(
        self, tenant: str, kind: str, content: Mapping[str, Any], now: datetime, *, name: str | None = None
    ) -> Certificate:
        """Signs and keeps a certificate; one that was issued under this name already is answered as it is."""
        named = name or self.new_name()
        said = {"tenant": tenant, "certificate": named, "kind": kind, "issued": instant(now), **content}
        made = Certificate(tenant, named, kind, now, await self._signed(tenant, said))
        document = {
            "_id": f"{tenant}|{named}",
            "t": tenant,
            "id": named,
            "kind": kind,
            "at": now,
            "signed": made.signed,
        }
        with mongo_writes:
            found = {"_id": document["_id"]}
            await self._collection.update_one(found, {"$setOnInsert": document}, upsert=True)
        return await self.get(tenant, named)

    async def get(self, tenant: str, name: str) -> Certificate:
        with mongo_errors:
            document = await self._collection.find_one({"_id": f"{tenant}|{name}"})
        if document is None:
            raise not_found("certificate", name)
        return _certificate(document)

    async def listed(self, tenant: str, kind: str | None = None) -> list[Certificate]:
        """Oldest first, since their names begin with the time."""
        found: Document = {"t": tenant} | ({"kind": kind} if kind else {})
        with mongo_errors:
            return [_certificate(each) async for each in self._collection.find(found).sort([("at", 1), ("_id", 1)])]

    async def fault(self, certificate: Certificate) -> str | None:
        """What is wrong with a certificate; None where it is what the tenant signed."""
        keys = {key.kid: key.public for key in await self._keys.verifying(certificate.tenant)}
        try:
            kid = jws.extract_compact(certificate.signed.encode()).headers().get("kid", "")
            if kid not in keys:
                return f"It is signed with the key '{kid}', which this tenant does not have."
            jws.deserialize_compact(certificate.signed, ECKey.import_key(dict(keys[kid])), algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            return "Its signature is not good: it was changed after it was issued."
        said = certificate.content
        wanted = (certificate.tenant, certificate.name, certificate.kind)
        same = (said["tenant"], said["certificate"], said["kind"]) == wanted
        return None if same else "It is not the certificate that it is kept as."

    async def _signed(self, tenant: str, content: Mapping[str, Any]) -> str:
        key = await self._keys.signing(tenant)
        payload = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
        return jws.serialize_compact(header, payload, ECKey.import_key(key.private), algorithms=[ALGORITHM])


def _certificate(document: Mapping[str, Any]) -> Certificate:
    return Certificate(document["t"], document["id"], document["kind"], document["at"], document["signed"])
