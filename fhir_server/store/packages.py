"""Packages of definitions: those of a tenant, and those that all tenants share.  https://hl7.org/fhir/packages

The definitions of a package are written first, then the row that makes them count: one that was interrupted counts for
nothing, and is removed when the package is added again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ReturnDocument

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import Document, key_range
from fhir_server.store.tenants import UNKNOWN, Tenant

EVERYONE: Final = "*"
"""Stands for the tenant of what all share; no tenant can be called that."""

TOGETHER: Final = 200
ABANDONED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Package:
    """`digest` is of its definitions: a package of the same name and version may have been built again."""

    name: str
    version: str
    digest: str
    definitions: int
    dependencies: Mapping[str, str] = field(default_factory=dict)
    added: datetime = UNKNOWN
    shared: bool = False

    @property
    def label(self) -> str:
        return f"{self.name}#{self.version}"


Advance = Callable[[int], None]


class Packages:
    """`of` tells where the data of a tenant is; what all share is in the common database."""

    def __init__(self, of: Callable[[Tenant], Database], common: Callable[[], Database]) -> None:
        self._of = of
        self._common = common

    async def loaded(self, tenant: Tenant | None) -> list[Package]:
        """What a tenant has, the shared ones after its own; without a tenant the shared ones."""
        return [_package(each) for each in await self._rows(tenant)]

    async def add(
        self, tenant: Tenant | None, package: Package, definitions: Iterable[Resource], advance: Advance
    ) -> bool:
        """Whether there was anything to do: the same package again changes nothing."""
        database, name = self._place(tenant)
        row = {"_id": f"{name}|{package.label}", "t": name}
        with mongo_writes:
            before = await database.packages.find_one({"_id": row["_id"]})
            if before is not None and before["digest"] == package.digest:
                return False
            load = uuid7()
            await _insert(database, name, load, package.label, definitions, advance)
            counts = {**asdict(package), "t": name, "load": load, "added": datetime.now(UTC)}
            before = await database.packages.find_one_and_update(
                {"_id": row["_id"]}, {"$set": counts}, upsert=True, return_document=ReturnDocument.BEFORE
            )
            await _clear(database, name, package.label, before["load"] if before else None, load)
        return True

    async def remove(self, tenant: Tenant | None, name: str, version: str | None = None) -> list[Package]:
        """Every version of a package, or one; what was removed."""
        database, owner = self._place(tenant)
        found = {"t": owner, "name": name, **({"version": version} if version else {})}
        with mongo_writes:
            rows = await database.packages.find(found).to_list()
            for row in rows:
                await database.packages.delete_one({"_id": row["_id"]})
                await database.definitions.delete_many({"t": owner, "load": row["load"]})
        return [_package(row) for row in rows]

    async def state(self, tenant: Tenant) -> tuple[str, ...]:
        """Changes whenever a package comes or goes."""
        return tuple(sorted(str(row["load"]) for row in await self._rows(tenant)))

    async def find(self, tenant: Tenant, kind: str, urls: Collection[str]) -> list[Resource]:
        """Definitions of one type by URL, in the order in which they count: the tenant's own, then by version."""
        loads = [row["load"] for row in await self._rows(tenant)]
        found: list[Document] = []
        for place in (tenant, None):
            database, name = self._place(place)
            wanted = {"t": name, "url": {"$in": sorted(urls)}, "rt": kind, "load": {"$in": loads}}
            with mongo_errors:
                found += await database.definitions.find(wanted).hint("url").to_list()
        found.sort(key=lambda each: _order(each["version"]), reverse=True)
        found.sort(key=lambda each: each["t"] == EVERYONE)
        # Many large definitions take long to read: others have their turn in between.
        await asyncio.sleep(0)
        return [json.trusted(each["body"]) for each in found]

    async def _rows(self, tenant: Tenant | None) -> list[Document]:
        found: list[Document] = []
        for place in (tenant, None) if tenant else (None,):
            database, name = self._place(place)
            with mongo_errors:
                found += await database.packages.find({"_id": key_range(name)}).sort([("_id", 1)]).to_list()
        return found

    def _place(self, tenant: Tenant | None) -> tuple[Database, str]:
        return (self._common(), EVERYONE) if tenant is None else (self._of(tenant), tenant.name)


async def _insert(
    database: Database, owner: str, load: str, label: str, definitions: Iterable[Resource], advance: Advance
) -> None:
    waiting: list[Document] = []
    for number, each in enumerate(definitions):
        waiting.append(_document(owner, load, label, number, each))
        if len(waiting) >= TOGETHER:
            await database.definitions.insert_many(waiting, ordered=False)
            advance(len(waiting))
            waiting = []
    if waiting:
        await database.definitions.insert_many(waiting, ordered=False)
        advance(len(waiting))


def _document(owner: str, load: str, label: str, number: int, definition: Resource) -> Document:
    return {
        "_id": f"{owner}|{load}|{number}",
        "t": owner,
        "load": load,
        "package": label,
        "rt": definition["resourceType"],
        "url": definition["url"],
        "version": definition.get("version", ""),
        "body": json.encode(definition),
    }


async def _clear(database: Database, owner: str, label: str, before: str | None, load: str) -> None:
    """What the package had, and what adding it left behind when it was interrupted; ids are ordered by time."""
    left = {"t": owner, "package": label, "load": {"$lt": _uuid_before(datetime.now(UTC) - ABANDONED), "$ne": load}}
    await database.definitions.delete_many(left)
    if before is not None:
        await database.definitions.delete_many({"t": owner, "load": before})


def _uuid_before(moment: datetime) -> str:
    """RFC 9562 §5.7: a UUIDv7 begins with the milliseconds of its making."""
    text = f"{int(moment.timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}"


def _package(row: Document) -> Package:
    return Package(
        row["name"],
        row["version"],
        row["digest"],
        row["definitions"],
        row["dependencies"],
        row["added"],
        row["t"] == EVERYONE,
    )


def _order(version: str) -> tuple[tuple[int, str], ...]:
    """Numbers by their value: 10.0.0 is newer than 9.0.0, and 1.0.0 than 1.0.0-ballot."""
    release, _, rest = version.partition("-")
    numbers: list[tuple[int, str]] = [(int(part), "") if part.isdigit() else (-1, part) for part in release.split(".")]
    marker: Any = (0, "") if rest else (1, "")
    return (*numbers[:3], marker, (0, rest))
