"""A collection with the indexes of the store, filled with indexed resources, and the running of plans on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo.collection import Collection

from fhir_server.search.index import index
from fhir_server.search.page import Position
from fhir_server.search.plan import Plan, plan
from fhir_server.search.query import Query
from fhir_server.store.layout import AUDIT_INDEXES, PARTIAL, RESOURCE_INDEXES

UPDATED = datetime(2024, 6, 1, tzinfo=UTC)
Documents = Collection[dict[str, Any]]


def document(resource: dict[str, Any], base: str = "", updated: datetime = UPDATED) -> dict[str, Any]:
    kind, resource_id = resource["resourceType"], resource["id"]
    known = {"_id": f"t|{kind}|{resource_id}", "t": "t", "rt": kind, "id": resource_id, "lu": updated, "del": False}
    return {**known, **index(resource, base).as_document()}


def prepare(collection: Documents, documents: Iterable[Mapping[str, Any]]) -> None:
    """As the store would have it."""
    collection.drop()
    collection.insert_many([dict(each) for each in documents])
    for name, keys in {**AUDIT_INDEXES, **RESOURCE_INDEXES}.items():
        limit = {"partialFilterExpression": PARTIAL[name]} if name in PARTIAL else {}
        collection.create_index(list(keys), name=name, **limit)


def where(found: Plan) -> dict[str, Any]:
    """What the repository adds to a plan."""
    types = found.resource_types
    kinds = {"rt": types[0]} if len(types) == 1 else {"rt": {"$in": list(types)}} if types else {}
    return {"$and": [{"t": "t", "del": False, **kinds}, found.filter]}


def rows(collection: Documents, found: Plan) -> list[dict[str, Any]]:
    """At most one row more than the page."""
    return [row for row, _ in parted(collection, found)]


def parted(collection: Documents, found: Plan) -> list[tuple[dict[str, Any], Plan]]:
    """The same, each with the plan that it came from."""
    if found.pipeline:
        stages = [{"$match": where(found)}, *found.pipeline, {"$limit": found.limit + 1}]
        listed = list(collection.aggregate(stages))
    else:
        cursor = collection.find(where(found), limit=found.limit + 1)
        cursor = cursor.sort(found.sort) if found.sort else cursor
        listed = list(cursor.hint(found.hint) if found.hint else cursor)
    parts = [(each, found) for each in listed]
    if found.then and len(listed) <= found.limit:
        parts += parted(collection, found.then)
    return parts[: found.limit + 1]


def pages(collection: Documents, query: Query, seal: Any = lambda position: position) -> list[list[str]]:
    """The ids on every page."""
    result: list[list[str]] = []
    position: Position | None = None
    while True:
        found = plan(query, position)
        listed = parted(collection, found)
        shown = listed[: found.limit]
        result.append([f"{each['rt']}/{each['id']}" for each, _ in shown])
        if len(listed) <= found.limit:
            return result
        last, part = shown[-1]
        position = seal(part.position_of(last))
