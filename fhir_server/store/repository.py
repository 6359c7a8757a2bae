"""The repository of one tenant as one caller sees it: the only way to resources.  https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TypeVar

from fhir_server.access.right import Right
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, forbidden
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.store import (
    bulk,
    claims,
    definitions,
    expected_version,
    guarding,
    idempotency,
    locks,
    rules,
    transactions,
)
from fhir_server.store.deferred import Deferred
from fhir_server.store.errors import Outdated, is_duplicate, mongo_errors
from fhir_server.store.holds import refuse_held
from fhir_server.store.ids import NewId
from fhir_server.store.layout import AUDITED, SUPERSEDED
from fhir_server.store.parameters import OwnParameters
from fhir_server.store.recording import Recording
from fhir_server.store.signing import Signing
from fhir_server.store.unit import Buffered, Unit
from fhir_server.store.versions import Write, stored, tombstone
from fhir_server.store.view import View

T = TypeVar("T")

FOLLOWED = frozenset({definitions.TYPE, rules.TYPE})
"""Types of which a version changes more than itself: the two are one transaction."""
CHANGES = 3
"""How often a write is begun again since its tenant has changed."""


class Repository(View):
    """Reads and writes as one caller; what the caller may not see is not there, what it may not do is 403."""

    @property
    def new_id(self) -> NewId:
        """Ids of what is new."""
        return self._around.new_id

    @property
    def own(self) -> OwnParameters | None:
        return self._around.own

    @property
    def signing(self) -> Signing | None:
        return self._around.signing

    @property
    def deferred(self) -> Deferred | None:
        """Bundles that are answered later."""
        place = self._database
        return Deferred(place.deferred, self.own.jobs, self.tenant.name, place.seals) if self.own else None

    async def create(self, resource: Resource, *, resource_id: str | None = None) -> Version:
        """create, with an id of ours unless one is given. https://hl7.org/fhir/R4/http.html#create"""
        name = resource_id or self.new_id()

        async def created(repo: Repository) -> Version:
            write = stored(repo.tenant, resource, name, "POST", self._around.clock(), None)
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
        write = stored(self.tenant, resource, resource_id, "PUT", self._around.clock(), previous)
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
        write = tombstone(self.tenant, self._around.clock(), previous)
        await self._store(write, expected, unlocked=mirrored)
        return write.version

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
                if self._around.latest is None or not (first or isinstance(problem, Outdated)):
                    raise
            if first and self._around.hiding:
                await self._around.hiding.guard(self.tenant, first.needed)
            await self._renew()
        return await attempt()

    async def _renew(self) -> None:
        """The tenant and what is hidden from the caller, as they are now."""
        if self._around.latest:
            self.tenant = await self._around.latest()
        if self._around.hiding:
            self.caller = await self._around.hiding.applied(self.tenant, self.caller)
        self._where = self._made()

    async def prefetch(self, keys: Iterable[tuple[str, str]]) -> None:
        """Loads what is about to be updated with one query; outside a transaction there is nothing to load for."""
        wanted = set(keys)
        if wanted and isinstance(self._unit, Buffered):
            for held, keys in self._database.parted(wanted, itemgetter(0)):
                each = [self._where.instance(*one, Right.UPDATE) for one in keys]
                await self._unit.remember(held, self._where.instances(keys, Right.UPDATE), each)

    async def claim(self, criteria: str) -> None:
        """In a transaction: of those who decide by the same criteria at a time, one wins and the others try again.

        `criteria` is a search, with its type (`Patient?identifier=…`), written the same way each time.
        """
        await claims.claim(self._database, self._unit.session, self.tenant.name, criteria)

    async def answered(self, key: str) -> idempotency.Answered | None:
        """What this caller's request with an idempotency key was answered."""
        name = idempotency.name_of(self.caller, key)
        return await idempotency.find(self._database, self._unit.session, name, self._around.clock())

    async def keep_answer(self, key: str, request: str, answer: EntryResponse) -> None:
        """In a transaction: what it answers, kept if and only if it is committed."""
        answered = idempotency.Answered(request, answer)
        name = idempotency.name_of(self.caller, key)
        await idempotency.keep(self._database, self._unit.session, name, answered, self._around.clock())

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
        return bulk.Putting(self._database, self.tenant, self._where, self._around.clock, self._around.mark)

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

    async def part(self) -> Repository:
        """For an entry of a batch, recorded by itself where it writes; what the entries before it hide is hidden."""
        if self._around.hiding and not self.caller.unbound:
            guards = await self._around.hiding.guards(self.tenant)
            self.tenant = self.tenant if guards == self.tenant.guards else replace(self.tenant, guards=guards)
            self.caller = await self._around.hiding.applied(self.tenant, self.caller)
        return self._with(self._unit, self.recording.part() if self.recording else None)

    def _within(self, unit: Unit) -> Repository:
        return self._with(unit, self.recording.attempt() if self.recording else None)

    def _with(self, unit: Unit, recording: Recording | None) -> Repository:
        return Repository(self._database, self.tenant, self.caller, self._around, unit, recording)

    async def _store(self, write: Write, expected: int | None, *, unlocked: bool = False) -> None:
        """Loses a race as the client's precondition says it should: 412 with If-Match, else 409."""
        guarding.check(self.tenant, self.caller, write)
        if self._around.mark and write.version.resource_type == AUDITED:
            write = replace(write, document=await self._around.mark(write.document))
        if not unlocked:
            locks.refuse(write.previous)
        try:
            await self._unit.store(write)
            if self.recording is not None:
                self.recording.trail.write(write)
            if write.version.resource_type == rules.TYPE:
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
