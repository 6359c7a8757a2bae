"""What a person allowed an application: the family that all tokens of one authorization belong to.  RFC 9700 §4.14.2"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument

from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import Document

SPOILED = -1
"""The turn of a grant whose code was used twice: none of its refresh tokens is good, nor will be."""
UNUSED = timedelta(minutes=10)
"""A grant whose code nobody redeems is forgotten."""


@dataclass(frozen=True, slots=True)
class Grant:
    tenant: str
    client: str
    user: str
    scopes: tuple[str, ...]
    fhir_user: str | None = None
    roles: tuple[str, ...] = ()
    patients: tuple[str, ...] | None = None
    """Ids of the patients that the user may act for; None where the roles decide."""
    patient: str | None = None
    encounter: str | None = None
    session: str | None = None
    """The session it ends with; none where it is for offline access."""
    nonce: str | None = None
    authenticated: datetime | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    """What else the launch says: intent, need_patient_banner, smart_style_url, fhirContext."""
    grant_id: str = field(default_factory=uuid7)
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    turn: int = 0
    """Which of its refresh tokens is good."""
    turned: datetime | None = None
    """When it became so."""


class Grants:
    """The grants of all tenants of a store."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def add(self, grant: Grant) -> None:
        fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(grant).items()}
        about = {"_id": _key(grant.tenant, grant.grant_id), "t": fields.pop("tenant")}
        with mongo_writes:
            await self._collection.insert_one({**about, **fields, "expires": datetime.now(UTC) + UNUSED})

    async def get(self, tenant: str, grant_id: str) -> Grant | None:
        with mongo_errors:
            document = await self._collection.find_one(_living(tenant, grant_id))
        return _grant(document) if document else None

    async def keep(self, grant: Grant, lifetime: timedelta) -> None:
        """From now on for so long."""
        with mongo_writes:
            await self._collection.update_one(
                {"_id": _key(grant.tenant, grant.grant_id)}, {"$set": {"expires": datetime.now(UTC) + lifetime}}
            )

    async def turn(self, tenant: str, grant_id: str, turn: int, now: datetime) -> Grant | None:
        """The next refresh token becomes the good one; of all who ask so with one token, one succeeds."""
        with mongo_writes:
            document = await self._collection.find_one_and_update(
                {**_living(tenant, grant_id), "turn": turn},
                {"$inc": {"turn": 1}, "$set": {"turned": now}},
                return_document=ReturnDocument.AFTER,
            )
        return _grant(document) if document else None

    async def of_user(self, tenant: str, user: str) -> list[Grant]:
        """The newest first."""
        wanted = {"t": tenant, "user": user, "turn": {"$ne": SPOILED}, "expires": {"$gt": datetime.now(UTC)}}
        with mongo_errors:
            documents = await self._collection.find(wanted).to_list()
        return sorted(map(_grant, documents), key=lambda grant: grant.grant_id, reverse=True)

    async def spoil(self, tenant: str, grant_id: str) -> None:
        """As good as ended; whoever is being answered for its code still finds it."""
        with mongo_writes:
            await self._collection.update_one({"_id": _key(tenant, grant_id)}, {"$set": {"turn": SPOILED}})

    async def end(self, tenant: str, grant_id: str) -> None:
        """Its refresh tokens are good no more; what access tokens it gave out has to be revoked besides."""
        with mongo_writes:
            await self._collection.delete_one({"_id": _key(tenant, grant_id)})


def _key(tenant: str, grant_id: str) -> str:
    return f"{tenant}|{grant_id}"


def _living(tenant: str, grant_id: str) -> Document:
    return {"_id": _key(tenant, grant_id), "expires": {"$gt": datetime.now(UTC)}}


def _grant(document: Document) -> Grant:
    fields: Document = {name: value for name, value in document.items() if name not in ("_id", "t", "expires")}
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Grant(tenant=document["t"], **{**fields, **lists})
