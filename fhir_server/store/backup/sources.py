"""What is in a backup: every collection that a database of ours has, whole or the part of one tenant.

There is no list of collections here, so that none can be forgotten: the tenant comes first in every key, and what
belongs to the operator's database, and not to its contents, is left out by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.store.connection import Store
from fhir_server.store.database import Session
from fhir_server.store.layout import BODIES, ENCRYPTION_KEYS, MIGRATIONS, TENANTS, Document, key_range

RawCollection = AsyncCollection[RawBSONDocument]
RawDatabase = AsyncDatabase[RawBSONDocument]

COMMON = "common"
CHUNKS = f"{BODIES}.chunks"
AT_ONCE = 1_000
"""Documents of a batch; MongoDB ends one at 16 MB."""


class Source(NamedTuple):
    place: str
    name: str
    collection: RawCollection
    scope: Document
    """Filter: everything, or what is of one tenant."""

    @property
    def order(self) -> list[tuple[str, int]]:
        return [("files_id", 1), ("n", 1)] if self.name == CHUNKS else [("_id", 1)]


async def sources(store: Store, tenant: str, places: tuple[str, ...]) -> list[Source]:
    """The register of tenants comes last: what it names is complete by then."""
    found = []
    for place in places:
        database = store.raw(place_name(store, place))
        names = sorted(await database.list_collection_names())
        held = [each for each in names if each != MIGRATIONS and not each.startswith("system.")]
        found += [Source(place, each, database[each], of_tenant(each, tenant)) for each in held]
    return sorted(found, key=lambda each: each.name == TENANTS)


def place_name(store: Store, place: str) -> str:
    """Another store may call its common database otherwise."""
    return store.common.name if place == COMMON else place


async def places(store: Store, tenant: str) -> tuple[str, ...]:
    """The common database, and those that tenants have for themselves."""
    own = [each.database for each in await store.tenants.list() if each.database and tenant in ("", each.name)]
    return (COMMON, *sorted(own))


def of_tenant(collection: str, tenant: str) -> Document:
    if not tenant:
        return {}
    if collection == CHUNKS:
        return {"files_id": key_range(tenant)}
    return {"$or": [{"_id": key_range(tenant)}, {"_id": tenant}]}


def is_of_keys(source: Source) -> bool:
    """What is sealed with keys, and the keys, are kept apart: a destroyed key must not be in every old backup."""
    return source.name == ENCRYPTION_KEYS


async def blocks(source: Source, session: Session | None = None, more: Document | None = None) -> AsyncIterator[bytes]:
    """Batches of documents as MongoDB sends them."""
    wanted: Any = {"$and": [source.scope, more]} if more else source.scope
    cursor: Any = source.collection.find_raw_batches(wanted, sort=source.order, batch_size=AT_ONCE, session=session)
    async for block in cursor:
        if block:
            yield block
