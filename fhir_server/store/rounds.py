"""Rounds: what is looked at every so often by one process, whichever it is, of all that share a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pymongo.errors import DuplicateKeyError

from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_writes


async def turn(collection: Collection, name: str, every: timedelta) -> bool:
    """Whether it is this process's turn: the first that asks when the last round is old enough."""
    now = datetime.now(UTC)
    waited = {"_id": f"round {name}", "at": {"$lte": now - every}}
    with mongo_writes:
        try:
            await collection.find_one_and_update(waited, {"$set": {"at": now}}, upsert=True)
        except DuplicateKeyError:
            return False
    return True
