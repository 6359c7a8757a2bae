"""Applications that are registered with a tenant.  RFC 7591 §2, https://hl7.org/fhir/smart-app-launch/STU2.2/"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

from pymongo.errors import DuplicateKeyError

from fhir_server.fhir.outcome import conflict, error
from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document, key_range

Kind = Literal["public", "secret", "key"]

REMEMBERED = 1.0
"""Seconds in which the web origins of a new client reach every process."""


@dataclass(frozen=True, slots=True)
class Client:
    """`kind` is how it proves who it is: not at all, by a secret, or by signing with a key of its own."""

    tenant: str
    client_id: str
    name: str
    kind: Kind
    scopes: str
    """All that it may ask for, separated by spaces."""
    grants: tuple[str, ...] = ("authorization_code", "refresh_token")
    redirect_uris: tuple[str, ...] = ()
    launch_url: str | None = None
    origins: tuple[str, ...] = ()
    """Of web pages whose scripts may call the server."""
    secret: str | None = None
    """The digest of the secret, which itself is kept nowhere. It is random: there is no dictionary of such."""
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    approved: bool = True
    disabled: bool = False
    clearance: str = ""
    """Labels that it is cleared for where it acts for nobody; see `access.clearance`."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def active(self) -> bool:
        return self.approved and not self.disabled

    def may(self, grant: str) -> bool:
        return grant in self.grants


class Clients:
    """The clients of all tenants of a store."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._origins: dict[str, tuple[float, frozenset[str]]] = {}

    async def get(self, tenant: str, client_id: str) -> Client | None:
        with mongo_errors:
            document = await self._collection.find_one({"_id": _key(tenant, client_id)})
        return _client(document) if document else None

    async def existing(self, tenant: str, client_id: str) -> Client:
        found = await self.get(tenant, client_id)
        if found is None:
            raise error("not-found", f"There is no client '{client_id}' of '{tenant}'.")
        return found

    async def add(self, client: Client) -> None:
        with mongo_writes:
            try:
                await self._collection.insert_one(_document(client))
            except DuplicateKeyError as problem:
                raise conflict(f"There is already a client '{client.client_id}'.") from problem

    async def listed(self, tenant: str) -> list[Client]:
        with mongo_errors:
            documents = await self._collection.find({"_id": key_range(tenant)}).sort("_id").to_list()
        return [_client(each) for each in documents]

    async def change(self, tenant: str, client_id: str, **changes: Any) -> Client:
        with mongo_writes:
            await self._collection.update_one({"_id": _key(tenant, client_id)}, {"$set": changes})
        return await self.existing(tenant, client_id)

    async def origins(self, tenant: str) -> frozenset[str]:
        """The web origins of the active clients of a tenant."""
        remembered = self._origins.get(tenant)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        found = frozenset(origin for each in await self.listed(tenant) if each.active for origin in each.origins)
        self._origins[tenant] = (monotonic() + REMEMBERED, found)
        return found


def _key(tenant: str, client_id: str) -> str:
    return f"{tenant}|{client_id}"


def _document(client: Client) -> Document:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(client).items()}
    return {"_id": _key(client.tenant, client.client_id), **fields}


def _client(document: Document) -> Client:
    given: Document = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
    del given["_id"]
    return Client(**given)
