"""Where resources come from: the state of the row, and what its mapping said about columns when it was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ReplaceOne

from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document

Element = dict[str, Any]
"""`path`, `columns` and `converters`."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Of one tenant; what a version of a mapping says is kept as long as the tenant."""

    database: Database
    tenant: str

    async def keep(self, mapping: str, version: str, outputs: Sequence[tuple[str, Sequence[Element]]]) -> None:
        """What a mapping says about the elements of each of its outputs."""
        documents = [self._document(mapping, version, output, elements) for output, elements in outputs]
        if not documents:
            return
        with mongo_writes:
            await self.database.lineage.bulk_write(
                [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents], ordered=False
            )

    async def state(self, resource_type: str, resource_id: str) -> Document | None:
        """What is known of the row that has given a resource."""
        found = {"tenant_id": self.tenant, "resource_id": resource_id, "resource_type": resource_type}
        with mongo_errors:
            return await self.database.mappings.find_one(found, {"_id": 0})

    async def elements(self, state: Document) -> list[Element]:
        """What the mapping said that wrote this state; an output of a list is named without the position."""
        name = self._name(state["mapping_name"], state["mapping_version"], state["output"].partition(":")[0])
        with mongo_errors:
            document = await self.database.lineage.find_one({"_id": name})
        return list(document["elements"]) if document else []

    def _document(self, mapping: str, version: str, output: str, elements: Sequence[Element]) -> Document:
        return {"_id": self._name(mapping, version, output), "elements": list(elements)}

    def _name(self, mapping: str, version: str, output: str) -> str:
        return f"{self.tenant}|{mapping}|{version}|{output}"
