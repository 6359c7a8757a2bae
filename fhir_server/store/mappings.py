"""What became of each legacy row: the state documents, snapshots and cursors of the mapping engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from fhir_server.store.connection import Store
from fhir_server.store.database import Database
from fhir_server.store.errors import DUPLICATE, mongo_errors, mongo_writes
from fhir_server.store.layout import Document
from fhir_server.store.tenants import Tenant

State = Mapping[str, Any]

KEY = ("source_system", "source_table", "source_pk", "output")
"""With the tenant, what a state is about; the rest of it is the engine's own."""


class MappingStates:
    """The states of one tenant, each with the fields of `KEY`, `status` and what else the engine keeps."""

    def __init__(self, store: Store, tenant: Tenant) -> None:
        database = store.of(tenant)
        self._tenant = tenant.name
        self._states = database.mappings
        self._snapshots = database.snapshots

    async def states(self, source: str, table: str, pks: Iterable[str]) -> dict[tuple[str, str], Document]:
        """What is known of these rows, by primary key and output."""
        found = {**self._of(source, table), "source_pk": {"$in": list(pks)}}
        with mongo_errors:
            documents = await self._states.find(found, {"_id": 0}).hint("row").to_list()
        return {(document["source_pk"], document["output"]): document for document in documents}

    async def save(self, states: Sequence[State]) -> None:
        """Puts each state in the place of the one before it."""
        if not states:
            return
        operations = [self._replacement(state, [state[name] for name in KEY]) for state in states]
        with mongo_writes:
            await self._states.bulk_write(operations, ordered=False)

    async def add(self, states: Sequence[State]) -> None:
        """As `save`, at half the cost where there are none of these yet."""
        if not states:
            return
        documents = [self._document(state, [state[name] for name in KEY]) for state in states]
        with mongo_writes:
            there = await self._inserted(documents)
        await self.save([states[at] for at in there])

    async def _inserted(self, documents: Sequence[Document]) -> list[int]:
        """The positions of those that were there already."""
        try:
            await self._states.insert_many(documents, ordered=False)
        except BulkWriteError as problem:
            refused = problem.details["writeErrors"]
            if any(each["code"] != DUPLICATE for each in refused):
                raise
            return [each["index"] for each in refused]
        return []

    async def living(self, source: str, table: str, output: str, limit: int = 2) -> list[str]:
        """The ids of the resources that an output of a table has made, as far as they are there."""
        found = {**self._of(source, table), "output": output, "status": {"$nin": ["deleted", "quarantined"]}}
        with mongo_errors:
            documents = await self._states.find(found, {"_id": 0, "resource_id": 1}).limit(limit).to_list()
        return [each["resource_id"] for each in documents]

    async def counts(self, source: str) -> dict[str, dict[str, int]]:
        """How many states there are by table and status."""
        groups = {"$group": {"_id": {"table": "$source_table", "status": "$status"}, "n": {"$sum": 1}}}
        found = {"$match": {"tenant_id": self._tenant, "source_system": source}}
        counted: dict[str, dict[str, int]] = {}
        with mongo_errors:
            async for group in await self._states.aggregate([found, groups]):
                counted.setdefault(group["_id"]["table"], {})[group["_id"]["status"]] = group["n"]
        return counted

    async def row_counts(self, source: str) -> dict[str, dict[str, int]]:
        """How many rows there are by table and what became of them; each counts once, whatever its outputs say.

        A row in quarantine is just that, though what it became before may still be there.
        """
        row = {"$group": {"_id": {"table": "$source_table", "pk": "$source_pk"}, "all": {"$addToSet": "$status"}}}
        ranked: Any = "deleted"
        for status in ("skipped", "mapped", "mapped_with_warnings", "quarantined"):
            ranked = {"$cond": [{"$in": [status, "$all"]}, status, ranked]}
        counted = {"$group": {"_id": {"table": "$_id.table", "status": ranked}, "n": {"$sum": 1}}}
        found = {"tenant_id": self._tenant, "source_system": source, "source_pk": {"$not": {"$regex": "^~"}}}
        rows: dict[str, dict[str, int]] = {}
        with mongo_errors:
            async for group in await self._states.aggregate([{"$match": found}, row, counted], allowDiskUse=True):
                rows.setdefault(group["_id"]["table"], {})[group["_id"]["status"]] = group["n"]
        return rows

    async def findings(self, source: str) -> list[Document]:
        """What was found wrong with rows as they are known now: by table, code and place the number of rows."""
        where = {"$cond": [{"$eq": ["$errors.column", ""]}, "$errors.path", "$errors.column"]}
        about = {"table": "$source_table", "code": "$errors.code", "severity": "$errors.severity", "where": where}
        steps: list[Document] = [
            {"$match": {"tenant_id": self._tenant, "source_system": source, "errors.0": {"$exists": True}}},
            {"$unwind": "$errors"},
            {"$group": {"_id": {**about, "pk": "$source_pk"}}},
            {"$group": {"_id": {name: f"$_id.{name}" for name in about}, "rows": {"$sum": 1}}},
            {"$sort": {"rows": -1, "_id": 1}},
        ]
        with mongo_errors:
            groups = await (await self._states.aggregate(steps, allowDiskUse=True)).to_list()
        return [{**group["_id"], "rows": group["rows"]} for group in groups]

    async def with_status(
        self, source: str, status: str, *, table: str | None = None, limit: int = 100
    ) -> list[Document]:
        """States to look at, quarantined ones above all."""
        found = {"tenant_id": self._tenant, "source_system": source, "status": status}
        if table is not None:
            found["source_table"] = table
        with mongo_errors:
            return await self._states.find(found, {"_id": 0}).limit(limit).to_list()

    async def every_with_status(self, source: str, status: str, table: str) -> AsyncIterator[Document]:
        """Every state of a table with this status."""
        found = {**self._of(source, table), "status": status}
        with mongo_errors:
            async for document in self._states.find(found, {"_id": 0}):
                yield document

    async def of_output(self, source: str, table: str, output: str) -> AsyncIterator[Document]:
        """Every state of an output whose resource is there, by primary key."""
        found = {**self._of(source, table), "output": output, "status": {"$nin": ["deleted", "quarantined"]}}
        with mongo_errors:
            async for document in self._states.find(found, {"_id": 0}).sort([("source_pk", 1)]):
                yield document

    async def living_states(self, source: str) -> AsyncIterator[Document]:
        """Every state of a source whose resource is there."""
        found = {"tenant_id": self._tenant, "source_system": source, "status": {"$ne": "deleted"}}
        wanted = {**found, "resource_id": {"$exists": True}}
        with mongo_errors:
            async for document in self._states.find(wanted, {"_id": 0, "errors": 0}).hint("row"):
                yield document

    async def keys(self, source: str, table: str) -> AsyncIterator[str]:
        """Every primary key that has a state, in order: what a table is compared with to find deleted rows."""
        last: str | None = None
        cursor = self._states.find(self._of(source, table), {"_id": 0, "source_pk": 1}).sort([("source_pk", 1)])
        with mongo_errors:
            async for document in cursor:
                if document["source_pk"] != last:
                    last = document["source_pk"]
                    yield document["source_pk"]

    async def keep_snapshots(self, snapshots: Sequence[State]) -> None:
        """Rows as they were read, encrypted by the engine; each with the first three fields of `KEY`."""
        if not snapshots:
            return
        operations = [self._replacement(each, [each[name] for name in KEY[:3]]) for each in snapshots]
        with mongo_writes:
            await self._snapshots.bulk_write(operations, ordered=False)

    async def snapshot(self, source: str, table: str, pk: str) -> Document | None:
        with mongo_errors:
            return await self._snapshots.find_one({"_id": self._name([source, table, pk])}, {"_id": 0})

    def _of(self, source: str, table: str) -> Document:
        return {"tenant_id": self._tenant, "source_system": source, "source_table": table}

    def _replacement(self, state: State, parts: Sequence[str]) -> ReplaceOne[Document]:
        document = self._document(state, parts)
        return ReplaceOne({"_id": document["_id"]}, document, upsert=True)

    def _document(self, state: State, parts: Sequence[str]) -> Document:
        return {**state, "_id": self._name(parts), "tenant_id": self._tenant}

    def _name(self, parts: Sequence[str]) -> str:
        """A bar inside a part is doubled, so that no two keys are spelled the same."""
        return "|".join([self._tenant, *(part.replace("|", "||") for part in parts)])


async def forget_rows(database: Database, tenant: str, resources: Iterable[tuple[str, str]]) -> None:
    """What is known of the rows that these resources were made of, and the rows as they were read."""
    wanted = set(resources)
    found = {"tenant_id": tenant, "resource_id": {"$in": [each for _, each in wanted]}}
    with mongo_writes:
        states = await database.mappings.find(found).to_list()
        of_them = [each for each in states if (each.get("resource_type"), each["resource_id"]) in wanted]
        if not of_them:
            return
        rows = {each["_id"].removesuffix(_ending(each)) for each in of_them}
        snapshots = {"_id": {"$in": sorted(rows)}}
        await database.snapshots.delete_many(snapshots)
        gone = {"_id": {"$in": [each["_id"] for each in of_them]}}
        await database.mappings.delete_many(gone)


def _ending(state: State) -> str:
    """What the key of a state has beyond that of its row."""
    return "|" + str(state["output"]).replace("|", "||")
