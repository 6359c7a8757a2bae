"""The search parameters of tenants' own: part of the tenant's record, so that every process has them with the tenant.

`version` counts the changes to what has to be indexed. Every document is stamped with the one it was indexed under,
and MongoDB itself refuses one of an older version than the tenant's (`raise_guard`), whoever writes it, however late.
Once that holds, what is of an older version only becomes less: a job that has gone through it has seen everything.
https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure

from fhir_server.fhir.definitions import SearchParameter
from fhir_server.fhir.outcome import FhirError, Issue, conflict, too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.search.defining import TYPE, defined
from fhir_server.search.own import types_of
from fhir_server.store.database import Collection, Database, Session
from fhir_server.store.errors import BUSY, StoreError, mongo_errors, mongo_writes
from fhir_server.store.jobs import Job, Jobs
from fhir_server.store.layout import Document
from fhir_server.store.migrations import locked
from fhir_server.store.tenants import Tenant, definition_of

REINDEX = "reindex"
MOST = 100
"""Search parameters that a tenant may add."""

_LATER = frozenset({24, 50, 112, 251})
"""Codes of a command that found the collection in use."""
_FORBIDDEN = 13


@dataclass(frozen=True, slots=True)
class OwnParameters:
    """Defines, removes and makes ready."""

    tenants: Collection
    jobs: Jobs

    async def define(self, tenant: str, resource_id: str, resource: Resource, session: Session | None) -> None:
        """In the transaction that stores the SearchParameter: its place in the record, and a job where it needs one."""
        found = defined(resource)
        if found is None:
            await self.remove(tenant, resource_id, session)
            return
        record = await self._record(tenant, session)
        known = [each for each in record["own"] if each["id"] != resource_id]
        before = next((each for each in record["own"] if each["id"] == resource_id), None)
        _refuse_twin(found, known)
        entry: Document = {"id": resource_id, "definition": _document(found)}
        if before is not None and before["definition"] == entry["definition"]:
            return
        version = record["version"] + 1
        given = {"types": sorted(types_of(found.base)), "version": version, "older": True}
        job = await self.jobs.add(tenant, REINDEX, given, session=session)
        entry |= {"since": version, "ready": False, "job": job.job_id, "said": job.progress}
        await self._replace(tenant, record, {"version": version, "own": [*known, entry]}, session)

    async def remove(self, tenant: str, resource_id: str, session: Session | None) -> None:
        """It can be searched with no longer; what is indexed for it goes with the next version of each resource."""
        record = await self._record(tenant, session)
        kept = [each for each in record["own"] if each["id"] != resource_id]
        if len(kept) < len(record["own"]):
            await self._replace(tenant, record, {"version": record["version"] + 1, "own": kept}, session)

    async def settle(self, tenant: str, version: int, types: Iterable[str]) -> None:
        """Everything of these types is indexed by this version: what waited for that and no more is ready."""
        indexed = frozenset(types)

        def settled(entry: Document) -> Document:
            done = entry["since"] <= version and types_of(tuple(entry["definition"]["base"])) <= indexed
            return {**entry, "ready": True, "said": ""} if done else entry

        await self._update(tenant, settled)

    async def report(self, job: Job) -> None:
        """For whoever searches meanwhile, in the record that every process reads anyway."""
        progress = job.error or f"{job.progress}."
        await self._update(
            job.tenant, lambda entry: {**entry, "said": progress} if entry["job"] == job.job_id else entry
        )

    async def state(self, tenant: str, resource_id: str) -> Mapping[str, Any] | None:
        """What the record says of one of them, as of now."""
        record = await self._record(tenant, None)
        return next((each for each in record["own"] if each["id"] == resource_id), None)

    async def raise_guard(self, database: Database, in_database: Callable[[Tenant], bool]) -> None:
        """From now on MongoDB takes no document that is indexed under an older version than the tenant's."""
        while True:
            async with locked(database.migrations, "guard"):
                if await _guarded(database, await self._condition(in_database)):
                    return
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311

    async def _condition(self, in_database: Callable[[Tenant], bool]) -> Document:
        with mongo_errors:
            documents = await self.tenants.find({"parameters.version": {"$gt": 0}}).to_list()
        versions = {
            each["_id"]: each["parameters"]["version"]
            for each in documents
            if each["status"] != "erasing" and in_database(_placed(each))
        }
        if not versions:
            return {}
        exact = [{"t": name, "pv": {"$gte": version}} for name, version in versions.items()]
        return {"$or": [{"t": {"$nin": sorted(versions)}}, {"del": True}, *exact]}

    async def _record(self, tenant: str, session: Session | None) -> Document:
        with mongo_errors:
            document = await self.tenants.find_one({"_id": tenant}, session=session)
        record: Document = (document or {}).get("parameters") or {"version": 0, "own": []}
        return record

    async def _update(self, tenant: str, change: Callable[[Document], Document]) -> None:
        """What others change at the same time is kept."""
        while True:
            record = await self._record(tenant, None)
            changed = {**record, "own": [change(each) for each in record["own"]]}
            if changed == record:
                return
            try:
                await self._replace(tenant, record, changed, None)
                return
            except FhirError as problem:
                if problem.status != 409:
                    raise

    async def _replace(self, tenant: str, before: Document, after: Document, session: Session | None) -> None:
        same: Document = {"parameters.version": before["version"], "parameters.own": before["own"]}
        found: Document = {"_id": tenant, **(same if before["version"] else {"parameters.version": {"$in": [None, 0]}})}
        with mongo_errors if session else mongo_writes:
            result = await self.tenants.update_one(found, {"$set": {"parameters": after}}, session=session)
        if not result.matched_count:
            raise conflict(BUSY)


async def _guarded(database: Database, condition: Document) -> bool:
    """Whether MongoDB took the condition; not while the collection is in use by a long transaction."""
    try:
        await database.guarded_by(condition)
    except OperationFailure as problem:
        if problem.code == _FORBIDDEN:
            raise StoreError(NOT_ALLOWED) from problem
        if problem.code not in _LATER:
            raise
        return False
    return True


NOT_ALLOWED = (
    "The user of this MongoDB may not run collMod, which search parameters of a tenant's own need: give it the role "
    "dbAdmin on the database."
)


def _placed(document: Document) -> Tenant:
    return Tenant(document["_id"], database=document["database"])


def _refuse_twin(found: SearchParameter, known: list[Document]) -> None:
    if len(known) >= MOST:
        raise too_costly(f"There are {MOST} search parameters of this tenant's own already; no more are indexed.")
    types = types_of(found.base)
    for each in known:
        other = definition_of(each["definition"])
        if other.url == found.url:
            raise _taken("url", f"The URL '{found.url}' is that of {TYPE}/{each['id']}.")
        if other.code == found.code and types & types_of(other.base):
            raise _taken("code", f"'{found.code}' is the code of {TYPE}/{each['id']} on the same type of resource.")


def _taken(element: str, diagnostics: str) -> FhirError:
    return FhirError([Issue("business-rule", diagnostics, (f"{TYPE}.{element}",))])


def _document(found: SearchParameter) -> Document:
    names = ("code", "type", "expression", "url", "multiple_or", "multiple_and")
    lists = {"base": list(found.base), "targets": list(found.targets)}
    return {**{name: getattr(found, name) for name in names}, **lists}
