"""Finds contained resources by their containers, which must be ones that the caller may search.

https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.access.right import Right
from fhir_server.fhir import json
from fhir_server.fhir.version import Version
from fhir_server.search import contained
from fhir_server.search.contained import FIELD
from fhir_server.search.plan import criteria
from fhir_server.search.query import Query
from fhir_server.search.term import Filter, none_of
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document
from fhir_server.store.matches import SLOWEST
from fhir_server.store.recording import Trail
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import version_of
from fhir_server.store.where import Where, both

Place = tuple[str, int]
"""The key of a container, and which of its contained resources; the order of the results."""


class Row(NamedTuple):
    """A container, or a contained resource as `Type/id#its-id`."""

    version: Version
    place: Place


@dataclass(frozen=True, slots=True)
class Containers:
    """Finds and counts for one caller."""

    database: Database
    where: Where
    tenant: Tenant
    session: Session | None = None
    trail: Trail | None = None

    async def rows(self, query: Query, after: Place | None, most: int) -> list[Row]:
        """The next results, by the keys of the containers."""
        found = self._filter(query)
        itself = query.contained_type == "contained"
        if after:
            # Of the last container there may be more to come: it is read again and may then have none.
            found = both(found, {"_id": {"$gte" if itself else "$gt": after[0]}})
        documents = await self._documents(found, most + (itself and after is not None))
        rows = [row for each in documents for row in await self._of(each, query)]
        return [each for each in rows if after is None or each.place > after][:most]

    async def count(self, query: Query) -> int:
        """Of contained resources each is counted, of containers each once."""
        found = self._filter(query)
        if query.contained_type == "container":
            with mongo_errors:
                return await self.database.resources.count_documents(
                    found, session=self.session, maxTimeMS=SLOWEST, hint=FIELD
                )
        return sum([len(await self._places(each, query)) async for each in self._cursor(found)])

    def _filter(self, query: Query) -> Filter:
        """Containers of any type that the caller may search; a container that is itself a match is none besides."""
        holding: Filter = {FIELD: {"$elemMatch": contained.wanted(query, self._types(query))}}
        if query.contained == "both" and query.contained_type == "container":
            own = {"rt": {"$in": self._types(query)}, "$and": [criteria(query)]}
            holding |= none_of(own)
        return self.where.searched(self.where.permitted((), Right.SEARCH), Right.SEARCH, holding)

    def _types(self, query: Query) -> list[str]:
        """What is contained is searched for with the right to search its own type too."""
        return self.where.permitted(query.resource_types, Right.SEARCH)

    def _cursor(self, found: Filter) -> Any:
        return (
            self.database.plain.find(found, {**self.where.shown, "_id": 1}, session=self.session, max_time_ms=SLOWEST)
            .sort("_id")
            .hint(FIELD)
        )

    async def _documents(self, found: Filter, most: int) -> list[Document]:
        with mongo_errors:
            documents: list[Document] = await self._cursor(found).limit(most).to_list()
        return documents

    async def _of(self, document: Document, query: Query) -> list[Row]:
        if self.trail is not None:
            self.trail.show(document)
        with mongo_errors:
            body = await self.database.bodies.body(document)
        version = version_of(self.tenant.name, document, body)
        if query.contained_type == "container":
            return [Row(version, (document["_id"], 0))]
        held = version.resource()["contained"]
        return [
            Row(_within(version, held[number]), (document["_id"], number))
            for number in await self._places(document, query)
        ]

    async def _places(self, document: Document, query: Query) -> list[int]:
        with mongo_errors:
            body = await self.database.bodies.body(document)
        asked = contained.wanted(query, self._types(query))
        resource = json.trusted(body)
        return contained.places(resource, asked, worded=self.tenant.indexes_words, blinding=self.tenant.blinding)


def _within(version: Version, resource: dict[str, Any]) -> Version:
    """The contained resource, by the URL of its container and its own id. https://hl7.org/fhir/R4/bundle.html#bundle-unique"""
    own = f"#{resource['id']}" if "id" in resource else ""
    return Version(
        version.tenant,
        version.resource_type,
        f"{version.resource_id}{own}",
        version.version_id,
        version.moment,
        version.method,
        json.encode(resource),
    )
