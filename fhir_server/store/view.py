"""What one caller sees of a tenant: what may not be seen is not there.  https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter

from fhir_server.access.caller import BREAK_GLASS, Caller
from fhir_server.access.clearance import Clearance
from fhir_server.access.concealment import LABELS
from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, not_found, unknown_version
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.version import Version
from fhir_server.search.include import Include
from fhir_server.search.page import Position
from fhir_server.search.plan import Plan
from fhir_server.search.query import Query
from fhir_server.store import (
    labels,
)
from fhir_server.store.companions import Companions
from fhir_server.store.concepts import Concepts
from fhir_server.store.containers import Containers
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors
from fhir_server.store.explanation import Step, explained
from fhir_server.store.history import History, Request, position
from fhir_server.store.joins import Joins
from fhir_server.store.layout import RECORDED, SHOWN, Document, Filter
from fhir_server.store.lineage import Lineage
from fhir_server.store.matches import Matches
from fhir_server.store.pages import Included, Page, Shown
from fhir_server.store.recording import Recording
from fhir_server.store.signing import Attestations
from fhir_server.store.surroundings import Surroundings
from fhir_server.store.tenants import Tenant
from fhir_server.store.unit import Immediate, Unit
from fhir_server.store.where import Where


class View:
    """Reads as one caller; what the caller may not see is not there."""

    def __init__(
        self,
        database: Database,
        tenant: Tenant,
        caller: Caller,
        around: Surroundings,
        unit: Unit | None = None,
        recording: Recording | None = None,
    ):
        self.tenant = tenant
        self.caller = caller
        self.recording = recording
        self._around = around
        self._database = database
        self._unit: Unit = unit or Immediate(database)
        self._where = self._made()
        self._shown = Shown(database.bodies, tenant.name, recording.trail if recording else None)

    @property
    def attestations(self) -> Attestations:
        """Who signed and amended. A caller who may not see a record is not to be shown them."""
        trail = self.recording.trail if self.recording else None
        return Attestations(self._database, self.tenant, self._unit, self._around.clock, trail)

    async def current(self, resource_type: str, resource_id: str, right: Right = Right.READ) -> Version:
        """read: the current version. https://hl7.org/fhir/R4/http.html#read"""
        document = await self._unit.read(self._where.instance(resource_type, resource_id, right), self._where.shown)
        if document is None:
            raise not_found(resource_type, resource_id)
        return await self._shown.living(document)

    async def at(self, resource_type: str, resource_id: str, version_id: str) -> Version:
        """vread: one version, if the current one and that one may be seen. https://hl7.org/fhir/R4/http.html#vread"""
        document = await self._unit.read(
            self._where.instance(resource_type, resource_id, Right.READ), self._where.shown
        )
        if document is None:
            raise not_found(resource_type, resource_id)
        if str(document["v"]) != version_id:
            past = self._where.superseded(resource_type, resource_id, version_id, Right.READ)
            with mongo_errors:
                document = await self._database.history.find_one(past, self._where.shown, session=self._unit.session)
        if document is None:
            raise unknown_version(resource_type, resource_id, version_id)
        return await self._shown.living(document)

    async def search(self, plan: Plan) -> Page:
        """search: one page of matches. https://hl7.org/fhir/R4/http.html#search"""
        await self._unit.flush()
        documents, end = await Matches(self._database, self._where, self._unit.session).page(plan)
        return Page(await self._shown.versions(documents), end)

    async def suppresses(self, plan: Plan, clearance: Clearance) -> bool:
        """Whether a search would find more under a broken glass."""
        caller = replace(self.caller, purpose=BREAK_GLASS, clearance=clearance, denials=None)
        opened = Where(self.tenant.name, caller, SHOWN, self.tenant.blinding, self.tenant.guards & {LABELS})
        return await Matches(self._database, self._where, self._unit.session).keeps(plan, opened)

    async def containers(self) -> Containers:
        """Of contained resources. https://hl7.org/fhir/R4/search.html#contained"""
        await self._unit.flush()
        return Containers(self._database, self._where, self.tenant, self._unit.session, self._shown.trail)

    async def resolved(self, query: Query) -> Query:
        """The query with its conditions on other resources, if it has any, come down to ids.

        https://hl7.org/fhir/R4/search.html#chaining
        """
        if not any(each.joins for each in query.criteria):
            return query
        await self._unit.flush()
        return await Joins(Matches(self._database, self._where, self._unit.session)).resolved(query)

    async def followed(self, query: Query, position: Position | None) -> Page | Query:
        """A page, where it is found while its conditions on other resources are followed; else as `resolved`."""
        if not any(each.joins for each in query.criteria):
            return query
        await self._unit.flush()
        following = Joins(Matches(self._database, self._where, self._unit.session))
        found = await following.found(query, position, confined=self.confined(query.resource_types))
        return found if isinstance(found, Query) else Page(await self._shown.versions(found[0]), found[1])

    async def included(self, matches: Sequence[Version], includes: Sequence[Include], most: int) -> Included:
        """What the matches of a page bring along. https://hl7.org/fhir/R4/search.html#include"""
        if not matches or not includes:
            return Included()
        companions = Companions(self._database, self._where, self._unit.session, most)
        documents = await companions.of([(each.resource_type, each.resource_id) for each in matches], includes)
        return Included(await self._shown.versions(documents), companions.complete)

    async def may_enter(self, resource_type: str, resource_id: str) -> bool:
        """Whether the caller may know what is in the compartment of this resource; that it exists is not needed."""
        try:
            restricted = self._where.allowed(resource_type, Right.SEARCH).filter
        except FhirError:
            return resource_type != "Patient" or self.caller.patient in (None, resource_id)
        key = (resource_type, resource_id)
        return not restricted or key in await self.existing([key], Right.SEARCH)

    def searchable(self, types: Iterable[str]) -> tuple[str, ...]:
        """Of these types, those that the caller may search; 403 where there is none."""
        listed = tuple(types)
        every = set(self._where.permitted((), Right.SEARCH))
        if every.isdisjoint(listed):
            self._where.permitted(listed, Right.SEARCH)
        return tuple(each for each in listed if each in every)

    async def explained(self, plan: Plan) -> list[Step]:
        """How MongoDB answers a page; outside of any transaction, in which it does not explain."""
        return await explained(Matches(self._database, self._where), plan)

    def confined(self, types: Iterable[str]) -> bool:
        """Whether the caller sees only some of the instances of one of these types."""
        return any(self._where.allowed(each, Right.SEARCH).filter for each in types)

    async def count(self, plan: Plan) -> int:
        """How many resources match, on all pages. https://hl7.org/fhir/R4/search.html#total"""
        await self._unit.flush()
        return await Matches(self._database, self._where, self._unit.session).count(plan)

    async def history(
        self,
        resource_type: str | None = None,
        resource_id: str | None = None,
        *,
        since: datetime | None = None,
        before: Position | None = None,
        count: int = 50,
    ) -> Page:
        """history of a resource, a type or the tenant. https://hl7.org/fhir/R4/http.html#history"""
        await self._unit.flush()
        request = Request(resource_type, resource_id, since, before, count)
        documents = await History(self._database, self._where, self._unit.session).documents(request)
        if not documents and resource_type and resource_id and before is None:
            await self._known(resource_type, resource_id)
        end = position(documents[count - 1]) if len(documents) > count else None
        return Page(await self._shown.versions(documents[:count]), end)

    async def existing(self, keys: Iterable[tuple[str, str]], right: Right = Right.READ) -> frozenset[tuple[str, str]]:
        """Which of these the caller would find."""
        documents = await self._those(set(keys), right, {"_id": 0, "rt": 1, "id": 1, "m": 1})
        return frozenset((each["rt"], each["id"]) for each in documents)

    async def several(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        """The current versions of these, with one query; those that the caller would not find are left out."""
        living = await self._those(set(keys), Right.READ, self._where.shown)
        return {(each.resource_type, each.resource_id): each for each in await self._shown.versions(living)}

    async def _those(self, keys: Iterable[tuple[str, str]], right: Right, wanted: Filter) -> list[Document]:
        """What of these is there, wherever it is."""
        found: list[Document] = []
        if keys:
            await self._unit.flush()
        for held, part in self._database.parted(keys, itemgetter(0)):
            cursor = held.plain.find(self._where.instances(part, right), wanted, session=self._unit.session)
            with mongo_errors:
                found += await cursor.to_list()
        return [each for each in found if each["m"] != "DELETE"]

    async def labels(self, resource_types: Sequence[str], codes: Sequence[str]) -> list[tuple[str, ...]]:
        """The entries `code=…` that resources of these types have, or of all types, each combination once."""
        await self._unit.flush()
        return await labels.combinations(self._database, self._where, self._unit.session, resource_types, codes)

    @property
    def concepts(self) -> Concepts:
        """Of large code systems. A caller who may not see the CodeSystem is not to be shown its concepts."""
        return Concepts(self._database, self.tenant.name)

    @property
    def lineage(self) -> Lineage:
        """Of what mappings have written. A caller who may not see a resource is not to be shown where it comes from."""
        return Lineage(self._database, self.tenant.name)

    async def library(self) -> Library:
        """The profiles and value sets of the tenant, as far as they were asked for."""
        assert self._around.shelf is not None, "a repository of a store has a shelf"
        return await self._around.shelf.library(self.tenant)

    async def fill(self, library: Library) -> None:
        """Looks up what the library wants."""
        assert self._around.shelf is not None, "a repository of a store has a shelf"
        await self._around.shelf.fill(self.tenant, library)

    def _made(self) -> Where:
        shown = RECORDED if self.recording else SHOWN
        return Where(self.tenant.name, self.caller, shown, self.tenant.blinding, self.tenant.guards)

    async def _known(self, resource_type: str, resource_id: str) -> None:
        if (
            await self._unit.read(self._where.instance(resource_type, resource_id, Right.READ), self._where.shown)
            is None
        ):
            raise not_found(resource_type, resource_id)
