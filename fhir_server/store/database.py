"""One database of MongoDB as this room uses it: its collections, its large bodies, and sessions for transactions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from fhir_server.store.bodies import Bodies, InGridFs
from fhir_server.store.codec import OPTIONS, PLAIN
from fhir_server.store.layout import (
    ATTEMPTS,
    CERTIFICATES,
    CLAIMS,
    CLIENTS,
    CODE_SYSTEMS,
    CONCEPTS,
    DEFERRED,
    DEFINITIONS,
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

Client = AsyncMongoClient[Document]
Collection = AsyncCollection[Document]
Session = AsyncClientSession

Guard = Callable[[Filter], Awaitable[None]]

DURABLE = WriteConcern("majority", j=True)
"""Acknowledged is kept: on a majority of members, in their journals."""


MAJORITY = {"w": "majority", "j": True}
PATIENCE = 200
"""Milliseconds."""


@dataclass(frozen=True, eq=False, slots=True)
class Database:
    """Collections of one database; a tenant's own database looks like the common one."""

    name: str
    resources: Collection
    plain: Collection
    """The resources again, read without decoding decimals: those of an index are only passed on."""
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
    certificates: Collection
    migrations: Collection
    bodies: Bodies
    guarded_by: Guard
    """Makes MongoDB refuse what does not match, whoever writes it."""
    session: Callable[[], Session]
    in_memory: bool = False
    """Then there is no BSON, and there are no indexes whose order could be relied on."""

    @property
    def personal(self) -> tuple[Collection, ...]:
        """All that hold data of tenants, under keys that start with the tenant."""
        return (
            self.resources,
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
            self.certificates,
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
    return Database(
        name, **named, bodies=InGridFs(found), guarded_by=partial(guard, found), session=client.start_session
    )


async def guard(database: AsyncDatabase[Document], condition: Filter) -> None:
    """https://www.mongodb.com/docs/manual/core/schema-validation/

    The command waits until transactions under way are over, and all others for it: it gives up soon, to be tried again.
    """
    await database.command("collMod", RESOURCES, validator=condition, maxTimeMS=PATIENCE, writeConcern=MAJORITY)


def collections(database: Any) -> dict[str, Any]:
    return {
        "resources": database[RESOURCES],
        "plain": database[RESOURCES],
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
        "certificates": database[CERTIFICATES],
        "migrations": database[MIGRATIONS],
    }
