"""Brings what was stored before labels and consents decided anything to where they do: once, by a migration."""

from __future__ import annotations

from typing import Final

from pymongo import UpdateOne

from fhir_server.search import labels
from fhir_server.store import rules
from fhir_server.store.database import Collection, Database
from fhir_server.store.layout import SHOWN, Document
from fhir_server.store.versions import version_of

TOGETHER: Final = 1000
SYSTEMS: Final = "|".join(each.replace(".", r"\.") for each in labels.SYSTEMS)


async def labelled(database: Database) -> None:
    """The field of labels, from the index that they were searched by."""
    for collection in (database.resources, database.audit, database.history):
        changes: list[UpdateOne] = []
        async for each in collection.find(_labelled(), {"tok": 1}):
            found = labels.entries({"meta": {"security": [_coding(entry) for entry in each["tok"]]}})
            if found:
                changes.append(UpdateOne(_same(each), {"$set": {labels.FIELD: found}}))
            if len(changes) == TOGETHER:
                await _written(collection, changes)
        await _written(collection, changes)


async def forbidden(database: Database) -> None:
    """The rule of every Consent that forbids something."""
    numbers: dict[str, int] = {}
    async for each in database.resources.find(_consents(), SHOWN | {"t": 1}):
        version = version_of(each["t"], each, await database.bodies.body(each))
        await rules.follow(database, version, None, numbers)


async def _written(collection: Collection, changes: list[UpdateOne]) -> None:
    if changes:
        await collection.bulk_write(changes, ordered=False)
    changes.clear()


def _labelled() -> Document:
    return {"tok": {"$regex": f"^_security=({SYSTEMS})\\|"}}


def _consents() -> Document:
    return {"rt": "Consent", "del": False}


def _same(document: Document) -> Document:
    return {"_id": document["_id"]}


def _coding(entry: str) -> dict[str, str]:
    name, _, rest = entry.partition("=")
    system, _, code = rest.partition("|")
    return {"system": system, "code": code} if name == "_security" else {}
