"""One database of MongoDB as this room uses it: its collections, its large bodies, and sessions for transactions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from fhir_server.store.bodies import Bodies, InGridFs
from fhir_server.store.codec import OPTIONS, PLAIN
from fhir_server.store.layout import (
    ATTEMPTS,
    AUDIT,
    AUDIT_CHAIN,
    AUDIT_CHECKPOINTS,
    AUDIT_WRITERS,
    AUDITED,
    CERTIFICATES,
    CLAIMS,
    CLIENTS,
    CODE_SYSTEMS,
    CONCEPTS,
    CONSENTS,
    DEFERRED,
    DEFINITIONS,
    ENCRYPTION_KEYS,
    FEATURES,
    GRANTS,
    HANDLES,
    HISTORY,
    IDEMPOTENCY,
    JOBS,
    LINEAGE,
    MAPPINGS,
    MIGRATIONS,
    PACKAGES,
    PROVIDERS,
    RESOURCES,
    REVOCATIONS,
    RUNS,
    SESSIONS,
    SNAPSHOTS,
    USERS,
    Document,
    Filter,
)
from fhir_server.store.seals import UNENCRYPTED, Seals

Client = AsyncMongoClient[Document]
Collection = AsyncCollection[Document]
Session = AsyncClientSession

T = TypeVar("T")
Guard = Callable[[Filter], Awaitable[None]]

DURABLE = WriteConcern("majority", wtimeout=10_000, j=True)
"""Acknowledged is kept: on a majority of members, in their journals.

A majority that is there but does not follow is waited for 10 seconds: then the answer is that nobody knows.
"""

MAJORITY = {"w": "majority", "j": True}
PATIENCE = 200
"""Milliseconds."""


class Held(NamedTuple):
    """The current resources of some types."""

    resources: Collection
    plain: Collection
    """The same, read without decoding decimals: those of an index are only passed on."""


@dataclass(frozen=True, eq=False, slots=True)
class Database:
    """Collections of one database; a tenant's own database looks like the common one."""

    name: str
    resources: Collection
    plain: Collection
    """The resources again, read without decoding decimals: those of an index are only passed on."""
    audit: Collection
    plain_audit: Collection
    audit_chain: Collection
    audit_writers: Collection
    audit_checkpoints: Collection
    history: Collection
    claims: Collection
    idempotency: Collection
    mappings: Collection
    snapshots: Collection
    runs: Collection
    lineage: Collection
    features: Collection
    concepts: Collection
    code_systems: Collection
    packages: Collection
    definitions: Collection
    jobs: Collection
    deferred: Collection
    clients: Collection
    handles: Collection
    grants: Collection
    revocations: Collection
    users: Collection
    sessions: Collection
    attempts: Collection
    providers: Collection
    encryption_keys: Collection
    certificates: Collection
    consents: Collection
    migrations: Collection
    bodies: Bodies
    guarded_by: Guard
    """Makes MongoDB refuse what does not match, whoever writes it."""
    session: Callable[[], Session]
    seals: Seals = UNENCRYPTED
    in_memory: bool = False
    """Then there is no BSON, and there are no indexes whose order could be relied on."""

    def holding(self, resource_type: str) -> Held:
        """Where the current resources of a type are: AuditEvents have a collection of their own."""
        if resource_type == AUDITED:
            return Held(self.audit, self.plain_audit)
        return Held(self.resources, self.plain)

    def of_types(self, types: Sequence[str]) -> Held:
        """Of several types, or of all, AuditEvents are left out: they are asked for on their own."""
        return self.holding(types[0] if len(types) == 1 else "")

    def of_key(self, key: str) -> Held:
        return self.holding(key.split("|", 2)[1])

    def parted(self, each: Iterable[T], type_of: Callable[[T], str]) -> list[tuple[Held, list[T]]]:
        """By where they are."""
        audited: list[T] = []
        others: list[T] = []
        for one in each:
            (audited if type_of(one) == AUDITED else others).append(one)
        parts = ((self.holding(""), others), (self.holding(AUDITED), audited))
        return [(held, part) for held, part in parts if part]

    @property
    def personal(self) -> tuple[Collection, ...]:
        """All that hold data of tenants, under keys that start with the tenant."""
        return (
            self.resources,
            self.audit,
            self.audit_chain,
            self.audit_writers,
            self.audit_checkpoints,
            self.history,
            self.claims,
            self.idempotency,
            self.mappings,
            self.snapshots,
            self.runs,
            self.lineage,
            self.features,
            self.concepts,
            self.code_systems,
            self.packages,
            self.definitions,
            self.jobs,
            self.deferred,
            self.clients,
            self.handles,
            self.grants,
            self.revocations,
            self.users,
            self.sessions,
            self.attempts,
            self.providers,
            self.encryption_keys,
            self.certificates,
            self.consents,
        )


def database(client: Client, name: str) -> Database:
    found: AsyncDatabase[Document] = client.get_database(
        name,
        codec_options=OPTIONS,
        write_concern=DURABLE,
        read_preference=ReadPreference.PRIMARY,
    )
    named = collections(found)
    named["plain"] = named["resources"].with_options(codec_options=PLAIN)
    named["plain_audit"] = named["audit"].with_options(codec_options=PLAIN)
    return Database(
        name, **named, bodies=InGridFs(found), guarded_by=partial(guard, found), session=client.start_session
    )


async def guard(database: AsyncDatabase[Document], condition: Filter) -> None:
    """https://www.mongodb.com/docs/manual/core/schema-validation/

    The command waits until transactions under way are over, and all others for it: it gives up soon, to be tried again.
    """
    for each in (RESOURCES, AUDIT):
        await database.command("collMod", each, validator=condition, maxTimeMS=PATIENCE, writeConcern=MAJORITY)


def collections(database: Any) -> dict[str, Any]:
    return {
        "resources": database[RESOURCES],
        "plain": database[RESOURCES],
        "audit": database[AUDIT],
        "plain_audit": database[AUDIT],
        "audit_chain": database[AUDIT_CHAIN],
        "audit_writers": database[AUDIT_WRITERS],
        "audit_checkpoints": database[AUDIT_CHECKPOINTS],
        "history": database[HISTORY],
        "claims": database[CLAIMS],
        "idempotency": database[IDEMPOTENCY],
        "mappings": database[MAPPINGS],
        "snapshots": database[SNAPSHOTS],
        "runs": database[RUNS],
        "lineage": database[LINEAGE],
        "features": database[FEATURES],
        "concepts": database[CONCEPTS],
        "code_systems": database[CODE_SYSTEMS],
        "packages": database[PACKAGES],
        "definitions": database[DEFINITIONS],
        "jobs": database[JOBS],
        "deferred": database[DEFERRED],
        "clients": database[CLIENTS],
        "handles": database[HANDLES],
        "grants": database[GRANTS],
        "revocations": database[REVOCATIONS],
        "users": database[USERS],
        "sessions": database[SESSIONS],
        "attempts": database[ATTEMPTS],
        "providers": database[PROVIDERS],
        "encryption_keys": database[ENCRYPTION_KEYS],
        "certificates": database[CERTIFICATES],
        "consents": database[CONSENTS],
        "migrations": database[MIGRATIONS],
    }
