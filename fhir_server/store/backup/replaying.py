"""An increment brought back over what is there already, and compared document by document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, ReplaceOne

from fhir_server.store.backup.archive import Frame
from fhir_server.store.backup.changing import keys_of
from fhir_server.store.backup.sources import blocks
from fhir_server.store.backup.tally import split
from fhir_server.store.backup.target import Target
from fhir_server.store.backup.verifying import Part
from fhir_server.store.codec import RAW
from fhir_server.store.errors import StoreError
from fhir_server.store.layout import TENANTS


async def apply(target: Target, part: Part) -> None:
    place, name, frame, block = part
    if name == TENANTS:
        target.enrol(frame, block)
        return
    keys = list(keys_of(split(block)))
    operations: list[Any] = [DeleteMany({"_id": {"$in": keys}})]
    if frame is Frame.DOCUMENTS:
        documents = [RawBSONDocument(each, RAW) for each in target.lasting(place, name, block)]
        operations = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
    if operations:
        await target.collection(place, name).bulk_write(operations, ordered=False)


async def compare(target: Target, found: AsyncIterator[Part]) -> None:
    """Each document is there as the increment has it, and what is gone is gone."""
    await target.settled()
    async for place, name, frame, block in found:
        if name == TENANTS:
            continue
        wanted = target.lasting(place, name, block) if frame is Frame.DOCUMENTS else []
        keys = list(keys_of(wanted if frame is Frame.DOCUMENTS else split(block)))
        target.collection(place, name)
        there: list[bytes] = []
        async for batch in blocks(target.every[place, name], None, {"_id": {"$in": keys}}):
            there += target.lasting(place, name, batch)
        if sorted(there) != sorted(set(wanted)):
            raise StoreError(f"What was restored of {name} in {place} is not what the increment holds. It was removed.")
