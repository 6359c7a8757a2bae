"""The repository of one tenant as one caller sees it: the only way to resources.  https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from fhir_server.access.caller import BREAK_GLASS, Caller
from fhir_server.access.clearance import Clearance
from fhir_server.access.concealment import LABELS
from fhir_server.access.right import Right
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, forbidden, not_found, unknown_version
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.search.include import Include
from fhir_server.search.page import Position
from fhir_server.search.plan import Plan
from fhir_server.search.query import Query
from fhir_server.store import (
    bulk,
    claims,
    definitions,
    expected_version,
    guarding,
    idempotency,
    labels,
    locks,
    rules,
    transactions,
)
from fhir_server.store.companions import Companions
from fhir_server.store.concepts import Concepts
from fhir_server.store.containers import Containers
from fhir_server.store.database import Database
from fhir_server.store.deferred import Deferred
from fhir_server.store.errors import Outdated, is_duplicate, mongo_errors
from fhir_server.store.explanation import Step, explained
from fhir_server.store.history import History, Request, position
from fhir_server.store.holds import refuse_held
from fhir_server.store.ids import NewId, uuid7
from fhir_server.store.joins import Joins
from fhir_server.store.layout import AUDITED, RECORDED, SHOWN, SUPERSEDED, Document, Filter
from fhir_server.store.lineage import Lineage
from fhir_server.store.matches import Matches
from fhir_server.store.pages import Included, Page, Shown
from fhir_server.store.parameters import OwnParameters
from fhir_server.store.recording import Recording
from fhir_server.store.shelf import Shelf
from fhir_server.store.signing import Attestations, Signing
from fhir_server.store.tenants import Tenant
from fhir_server.store.unit import Buffered, Immediate, Unit
from fhir_server.store.versions import Write, stored, tombstone
from fhir_server.store.where import Where

T = TypeVar("T")

CONSENT = "Consent"
FOLLOWED = frozenset({definitions.TYPE, CONSENT})
"""Types of which a version changes more than itself: the two are one transaction."""
CHANGES = 3
"""How often a write is begun again since its tenant has changed."""
Clock = Callable[[], datetime]
Latest = Callable[[], Awaitable[Tenant]]
"""What the tenant is now."""
Mark = bulk.Mark


class Hiding(Protocol):
    """Knows what consents forbid; see `store.consents`."""

    async def applied(self, tenant: Tenant, caller: Caller) -> Caller: ...

    async def guard(self, tenant: Tenant, guards: frozenset[str]) -> None: ...

    async def guards(self, tenant: Tenant) -> frozenset[str]: ...


def now() -> datetime:
    return datetime.now(UTC)


class Repository:
    """Reads and writes as one caller; what the caller may not see is not there, what it may not do is 403."""

    def __init__(
        self,
        database: Database,
        tenant: Tenant,
        caller: Caller,
        *,
        clock: Clock = now,
        new_id: NewId = uuid7,
        unit: Unit | None = None,
        shelf: Shelf | None = None,
        own: OwnParameters | None = None,
        latest: Latest | None = None,
        mark: Mark | None = None,
        signing: Signing | None = None,
        recording: Recording | None = None,
        hiding: Hiding | None = None,
    ):
        self.tenant = tenant
        self.caller = caller
        self.new_id = new_id
        self._clock = clock
        self._database = database
        self.recording = recording
        self._where = self._made()
        self._shown = Shown(database.bodies, tenant.name, recording.trail if recording else None)
        self._unit: Unit = unit or Immediate(database)
        self._shelf = shelf
        self.own = own
        self._latest = latest
        self._mark = mark
        self.signing = signing
        self._hiding = hiding

    @property
    def deferred(self) -> Deferred | None:
        """Bundles that are answered later."""
        place = self._database
        return Deferred(place.deferred, self.own.jobs, self.tenant.name, place.seals) if self.own else None

    @property
    def attestations(self) -> Attestations:
        """Who signed and amended. A caller who may not see a record is not to be shown them."""
        trail = self.recording.trail if self.recording else None
        return Attestations(self._database, self.tenant, self._unit, self._clock, trail)

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

    async def create(self, resource: Resource, *, resource_id: str | None = None) -> Version:
        """create, with an id of ours unless one is given. https://hl7.org/fhir/R4/http.html#create"""
        name = resource_id or self.new_id()

        async def created(repo: Repository) -> Version:
            write = stored(repo.tenant, resource, name, "POST", self._clock(), None)
            repo._permitted(write, Right.CREATE)
            await repo._store(write, None)
            return write.version

        return await self._informed(resource["resourceType"], created)

    async def update(
        self, resource: Resource, *, expected: int | None = None, amends: bool = False
    ) -> tuple[Version, bool]:
        """update: the new version, and whether the resource was not there before. https://hl7.org/fhir/R4/http.html#update

        `expected` is the version of If-Match; only what `amends` changes a record that is locked.
        """
        return await self._informed(resource["resourceType"], lambda repo: repo._update(resource, expected, amends))

    async def _update(self, resource: Resource, expected: int | None, amends: bool) -> tuple[Version, bool]:
        resource_type, resource_id = resource["resourceType"], resource["id"]
        guarding.refuse_altered(resource)
        previous = await self._unit.read(self._where.instance(resource_type, resource_id, Right.UPDATE), SUPERSEDED)
        expected_version.check(expected, previous, resource_type, resource_id)
        write = stored(self.tenant, resource, resource_id, "PUT", self._clock(), previous)
        self._permitted(write, Right.UPDATE)
        if amends:
            write.document[locks.FIELD] = locks.AMENDED
        await self._store(write, expected, unlocked=amends)
        return write.version, previous is None or previous["del"]

    async def delete(
        self, resource_type: str, resource_id: str, *, expected: int | None = None, mirrored: bool = False
    ) -> Version | None:
        """delete: the tombstone, or None where nothing was there. https://hl7.org/fhir/R4/http.html#delete

        A deletion that is `mirrored` has happened in a source: a legal hold keeps the versions, not what is current.
        """
        return await self._informed(
            resource_type, lambda repo: repo._delete(resource_type, resource_id, expected, mirrored)
        )

    async def _delete(
        self, resource_type: str, resource_id: str, expected: int | None, mirrored: bool
    ) -> Version | None:
        previous = await self._unit.read(self._where.instance(resource_type, resource_id, Right.DELETE), SUPERSEDED)
        expected_version.check(expected, previous, resource_type, resource_id)
        if previous is None or previous["del"]:
            return None
        if not mirrored:
            await refuse_held(self._database, self._unit.session, previous)
        write = tombstone(self.tenant, self._clock(), previous)
        await self._store(write, expected, unlocked=mirrored)
        return write.version

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

    async def transaction(self, work: Callable[[Repository], Awaitable[T]]) -> T:
        """All that `work` does with the repository it is given, or nothing; it may run more than once."""
        if self._unit.session is not None:
            return await work(self)
        return await self._renewing(lambda: self._transaction(work))

    async def _transaction(self, work: Callable[[Repository], Awaitable[T]]) -> T:
        created: set[tuple[str, str]] = set()
        types: set[str] = set()

        async def attempt(unit: Buffered) -> tuple[T, Recording | None]:
            unit.created, unit.types = created, types
            inside = self._within(unit)
            result = await work(inside)
            if inside.recording is not None and unit.session is not None:
                await unit.flush()
                await inside.recording.within(unit.session, inside.tenant)
            return result, inside.recording

        try:
            result, recorded = await transactions.run(self._database, attempt)
        except FhirError as problem:
            await self._refuse_hidden(problem, created)
            raise
        if self.recording is not None and recorded is not None:
            await self.recording.committed(recorded)
        if not types.isdisjoint(FOLLOWED):
            await self._renew()
        if self.own and definitions.TYPE in types:
            self.own.jobs.added.set()
        return result

    async def _informed(self, resource_type: str, work: Callable[[Repository], Awaitable[T]]) -> T:
        """A write by what the tenant is; one that changes what the tenant is, or is recorded, happens as a whole."""
        if resource_type in FOLLOWED or self.recording is not None:
            return await self.transaction(work)
        return await work(self) if self._unit.session else await self._renewing(lambda: work(self))

    async def _renewing(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Again where the tenant has changed meanwhile, or had to be changed first: nothing was written then."""
        for _ in range(CHANGES):
            try:
                return await attempt()
            except FhirError as problem:
                first = guarding.unguarded(problem)
                if self._latest is None or not (first or isinstance(problem, Outdated)):
                    raise
            if first and self._hiding:
                await self._hiding.guard(self.tenant, first.needed)
            await self._renew()
        return await attempt()

    async def _renew(self) -> None:
        """The tenant and what is hidden from the caller, as they are now."""
        if self._latest:
            self.tenant = await self._latest()
        if self._hiding:
            self.caller = await self._hiding.applied(self.tenant, self.caller)
        self._where = self._made()

    def _made(self) -> Where:
        shown = RECORDED if self.recording else SHOWN
        return Where(self.tenant.name, self.caller, shown, self.tenant.blinding, self.tenant.guards)

    async def prefetch(self, keys: Iterable[tuple[str, str]]) -> None:
        """Loads what is about to be updated with one query; outside a transaction there is nothing to load for."""
        wanted = set(keys)
        if wanted and isinstance(self._unit, Buffered):
            for held, keys in self._database.parted(wanted, itemgetter(0)):
                each = [self._where.instance(*one, Right.UPDATE) for one in keys]
                await self._unit.remember(held, self._where.instances(keys, Right.UPDATE), each)

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

    async def claim(self, criteria: str) -> None:
        """In a transaction: of those who decide by the same criteria at a time, one wins and the others try again.

        `criteria` is a search, with its type (`Patient?identifier=…`), written the same way each time.
        """
        await claims.claim(self._database, self._unit.session, self.tenant.name, criteria)

    async def answered(self, key: str) -> idempotency.Answered | None:
        """What this caller's request with an idempotency key was answered."""
        name = idempotency.name_of(self.caller, key)
        return await idempotency.find(self._database, self._unit.session, name, self._clock())

    async def keep_answer(self, key: str, request: str, answer: EntryResponse) -> None:
        """In a transaction: what it answers, kept if and only if it is committed."""
        answered = idempotency.Answered(request, answer)
        name = idempotency.name_of(self.caller, key)
        await idempotency.keep(self._database, self._unit.session, name, answered, self._clock())

    async def put_many(self, resources: Sequence[Resource]) -> list[bulk.Put]:
        """Creates or updates many in bulk, each on its own; what would change nothing is not written."""
        assert self._unit.session is None, "a transaction writes in bulk anyway"
        named = [each if "id" in each else {**each, "id": self.new_id()} for each in resources]
        others = [each for each in named if each["resourceType"] not in FOLLOWED]
        done = iter(await self._renewing(lambda: self._putting().put(others)))
        apart = [each for each in named if each["resourceType"] in FOLLOWED]
        followed = iter([put for batch in bulk.few(apart) for put in await self._put_followed(batch)])
        return [next(followed if each["resourceType"] in FOLLOWED else done) for each in named]

    def _putting(self) -> bulk.Putting:
        return bulk.Putting(self._database, self.tenant, self._where, self._clock, self._mark)

    async def _put_followed(self, batch: Sequence[Resource]) -> list[bulk.Put]:
        """With what follows from them, and so in a transaction."""
        same = await self._renewing(lambda: self._putting().unchanged(batch))

        async def together(repo: Repository) -> list[tuple[Version, bool]]:
            changed = [each for each, known in zip(batch, same, strict=True) if known is None]
            await repo.prefetch((each["resourceType"], each["id"]) for each in changed)
            return [await repo.update(each) for each in changed]

        done = iter(await self.transaction(together) if None in same else [])
        return [
            bulk.Put(each, created=False, changed=False) if each else bulk.Put(*next(done), changed=True)
            for each in same
        ]

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
        assert self._shelf is not None, "a repository of a store has a shelf"
        return await self._shelf.library(self.tenant)

    async def fill(self, library: Library) -> None:
        """Looks up what the library wants."""
        assert self._shelf is not None, "a repository of a store has a shelf"
        await self._shelf.fill(self.tenant, library)

    async def part(self) -> Repository:
        """For an entry of a batch, recorded by itself where it writes; what the entries before it hide is hidden."""
        if self._hiding and not self.caller.unbound:
            guards = await self._hiding.guards(self.tenant)
            self.tenant = self.tenant if guards == self.tenant.guards else replace(self.tenant, guards=guards)
            self.caller = await self._hiding.applied(self.tenant, self.caller)
        return self._with(self._unit, self.recording.part() if self.recording else None)

    def _within(self, unit: Unit) -> Repository:
        return self._with(unit, self.recording.attempt() if self.recording else None)

    def _with(self, unit: Unit, recording: Recording | None) -> Repository:
        more: dict[str, Any] = {
            "unit": unit,
            "shelf": self._shelf,
            "own": self.own,
            "latest": self._latest,
            "mark": self._mark,
            "signing": self.signing,
            "recording": recording,
            "hiding": self._hiding,
        }
        return Repository(self._database, self.tenant, self.caller, clock=self._clock, new_id=self.new_id, **more)

    async def _store(self, write: Write, expected: int | None, *, unlocked: bool = False) -> None:
        """Loses a race as the client's precondition says it should: 412 with If-Match, else 409."""
        guarding.check(self.tenant, self.caller, write)
        if self._mark and write.version.resource_type == AUDITED:
            write = replace(write, document=await self._mark(write.document))
        if not unlocked:
            locks.refuse(write.previous)
        try:
            await self._unit.store(write)
            if self.recording is not None:
                self.recording.trail.write(write)
            if write.version.resource_type == CONSENT:
                await rules.follow(self._database, write.version, self._unit.session, self._unit.numbers)
            if self.own and write.version.resource_type == definitions.TYPE:
                await definitions.follow(self.own, write.version, self._unit)
        except FhirError as problem:
            if problem.status != 409:
                raise
            if expected is not None:
                raise expected_version.failed(
                    expected, write.version.resource_type, write.version.resource_id
                ) from problem
            created = [(write.version.resource_type, write.version.resource_id)] if write.previous is None else []
            await self._refuse_hidden(problem, created)
            raise

    async def _refuse_hidden(self, problem: FhirError, created: Iterable[tuple[str, str]]) -> None:
        """An id that is taken, but by nothing that this caller may write to, is 403 and not a race."""
        wanted = set(created)
        if not is_duplicate(problem) or not wanted:
            return
        seen = False
        for held, keys in self._database.parted(wanted, itemgetter(0)):
            with mongo_errors:
                seen |= await held.plain.find_one(self._where.instances(keys, Right.UPDATE), {"_id": 1}) is not None
        if not seen:
            raise forbidden("This access token gives no right to write to a resource of this id.") from problem

    def _permitted(self, write: Write, right: Right) -> None:
        """The state after a write must be one that the caller may have to do with, like the state before."""
        version = write.version
        allowed = self._where.allowed(version.resource_type, right)
        if write.index is not None and not allowed.permits(version.resource_type, version.resource_id, write.index):
            raise forbidden(f"This access token gives no right to write a {version.resource_type} like this one.")

    async def _known(self, resource_type: str, resource_id: str) -> None:
        if (
            await self._unit.read(self._where.instance(resource_type, resource_id, Right.READ), self._where.shown)
            is None
        ):
            raise not_found(resource_type, resource_id)
