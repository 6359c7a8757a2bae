"""Tenants: whose data is whose, and where it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

from pymongo.errors import DuplicateKeyError

from fhir_server.access.concealment import GUARDS
from fhir_server.crypto.blind import BlindIndex
from fhir_server.crypto.secret import Key
from fhir_server.fhir.definitions import SearchParameter
from fhir_server.fhir.outcome import bad_value, conflict, error
from fhir_server.search.blinding import Blinding
from fhir_server.search.own import NONE, Own, parameter_set
from fhir_server.search.sensitive import as_data, default
from fhir_server.search.sensitive import of as sensitive_of
from fhir_server.store.database import Collection
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document
from fhir_server.store.vault import INDEX, Vault

NAME = re.compile(r"[a-z][a-z0-9-]{1,62}\Z")
DATABASE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")
RESERVED = frozenset({"admin", "local", "config"})
TAKEN = "There is already a tenant '{}'."

REMEMBERED = 1.0
"""Seconds in which a suspension reaches every process."""


UNKNOWN = datetime.min.replace(tzinfo=UTC)


SETTINGS: Mapping[str, tuple[str, ...]] = {
    "references": ("enforced", "free"),
    "versioning": ("versioned", "versioned-update"),
    "conditional_delete": ("single", "multiple"),
    "validate_profiles": ("off", "claimed", "known"),
    "words": ("off", "on"),
    "units": ("recorded", "metric"),
    "registration": ("closed", "approval", "open"),
    "second_factor": ("required", "optional"),
    "passwords": ("on", "off"),
    "locks": ("signed", "final"),
    "labels": ("off", "on"),
    "break_glass": ("standard", "part-2", "psychotherapy", "everything", "off"),
}
"""What can be set for a tenant; the first of the values holds where nothing is set."""

INDEXING = "indexing"
"""The setting `words` while those of the resources that are there already are indexed: not yet `on`."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """`database` is its own, if it has one; `native` says whether resources are kept as BSON besides their JSON."""

    name: str
    title: str = ""
    database: str | None = None
    native: Literal["full", "off"] = "full"
    status: Literal["active", "suspended", "erasing"] = "active"
    settings: Mapping[str, Any] = field(default_factory=dict)
    created: datetime = UNKNOWN
    own: Own = NONE
    """Its search parameters beyond those of R4."""
    encrypted: bool = False
    """Whether its resources are stored sealed."""
    sensitive: Mapping[str, Any] | None = None
    """Which search parameters are blinded then, where that is not the default."""
    guards: frozenset[str] = frozenset()
    """What there is that hides resources from some: security labels, consents; see `access.concealment`."""

    @property
    def active(self) -> bool:
        return self.status == "active"

    def setting(self, name: str) -> str:
        return str(self.settings.get(name, SETTINGS[name][0]))

    @property
    def blinding(self) -> Blinding | None:
        """How its index hides values; an encrypted tenant without it can neither be written to nor searched."""
        if self.encrypted and self.own.blinding is None:
            raise RuntimeError(f"the keys of tenant '{self.name}' are not open")
        return self.own.blinding

    @property
    def indexes_words(self) -> bool:
        return self.setting("words") != SETTINGS["words"][0]


Prepare = Callable[[Tenant], Awaitable[None]]
"""Makes the place of a new tenant, or removes what a tenant has."""


class Tenants:
    """The register; `get` is asked at every request and remembers for a second."""

    def __init__(
        self,
        collection: Collection,
        common: str,
        prepare: Prepare,
        erase: Prepare,
        index_words: Prepare,
        vault: Vault,
    ) -> None:
        self._collection = collection
        self._common = common
        self._prepare = prepare
        self._erase = erase
        self._index_words = index_words
        self._vault = vault
        self._remembered: dict[str, tuple[float, Tenant]] = {}
        self._blindings: dict[str, tuple[Key, Blinding]] = {}

    async def get(self, name: str) -> Tenant | None:
        remembered = self._remembered.get(name)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        with mongo_errors:
            document = await self._collection.find_one({"_id": name})
        if document is None:
            self._remembered.pop(name, None)
            return None
        return self._remember(await self._unlocked(_tenant(document)))

    async def locked(self, name: str) -> Tenant:
        """What is known of it without its keys: enough to show, suspend or erase one whose keys are lost."""
        with mongo_errors:
            document = await self._collection.find_one({"_id": name})
        if document is None:
            raise error("not-found", f"There is no tenant '{name}'; 'fhir-server tenant list' shows those there are.")
        return _tenant(document)

    async def latest(self, name: str) -> Tenant:
        """As it is now, whatever is remembered."""
        self._remembered.pop(name, None)
        found = await self.get(name)
        if found is None:
            raise error("not-found", f"There is no tenant '{name}'.")
        return found

    async def create(
        self,
        name: str,
        *,
        title: str = "",
        database: str | None = None,
        native: Literal["full", "off"] = "full",
        settings: Mapping[str, Any] | None = None,
        encrypted: bool | None = None,
        sensitive: Mapping[str, Any] | None = None,
        guards: frozenset[str] = frozenset(),
    ) -> Tenant:
        """Encrypted, unless that is refused or there is no key that would wrap its keys; then not kept as BSON too."""
        _check_names(name, database)
        await self._check_free(name, database)
        created = datetime.now(UTC).replace(microsecond=0)
        tenant = Tenant(name, title or name, database, native, "active", settings or {}, created, guards=guards)
        if self._vault.kek is not None if encrypted is None else encrypted:
            self._vault.refuse_unkeyed(name)
            policy = as_data(sensitive_of(sensitive)) if sensitive else None
            tenant = replace(tenant, encrypted=True, native="off", sensitive=policy)
        elif sensitive:
            raise bad_value(f"Tenant '{name}' is not to be encrypted, so nothing of it is blinded.")
        await self._prepare(tenant)
        with mongo_writes:
            try:
                await self._collection.insert_one(_document(tenant))
            except DuplicateKeyError as problem:
                raise conflict(TAKEN.format(name)) from problem
        return await self._unlocked(tenant)

    async def list(self) -> list[Tenant]:
        with mongo_errors:
            return [_tenant(document) for document in await self._collection.find({}).sort("_id").to_list()]

    async def suspend(self, name: str) -> Tenant:
        return await self._set(name, "suspended")

    async def resume(self, name: str) -> Tenant:
        return await self._set(name, "active")

    async def configure(self, name: str, settings: Mapping[str, str]) -> Tenant:
        """Sets some of `SETTINGS`; the others stay as they are.

        Words are searched once all are indexed: first those of what is written, as every process must have learned,
        then those of what is there. What was interrupted is taken up again by setting it again.
        """
        for setting, value in settings.items():
            _check_setting(setting, value)
        current = await self.get(name)
        if settings.get("words") == "on" and current and current.encrypted:
            raise bad_value(
                f"'words' cannot be 'on': tenant '{name}' is encrypted, and words could be read in its index."
            )
        if settings.get("words") == "on" and current and current.setting("words") != "on":
            tenant = await self._change(name, {"settings.words": INDEXING})
            await asyncio.sleep(REMEMBERED)
            with mongo_writes:
                await self._index_words(tenant)
        return await self._change(name, {f"settings.{setting}": value for setting, value in settings.items()})

    async def guard(self, name: str, guards: frozenset[str]) -> Tenant:
        """Returns when every process has learned that there is such a thing now."""
        with mongo_writes:
            change = {"$addToSet": {"guards": {"$each": sorted(guards)}}}
            await self._collection.update_one({"_id": name, "guards": {"$exists": True}}, change)
        await asyncio.sleep(REMEMBERED)
        return await self.latest(name)

    async def erase(self, name: str) -> None:
        """Removes everything of the tenant, for good; one that was interrupted is taken up again by calling it again.

        Every process must have learned that the tenant takes no more requests before its data is removed.
        """
        tenant = await self._set(name, "erasing")
        await asyncio.sleep(REMEMBERED)
        with mongo_writes:
            await self._erase(tenant)
            await self._collection.delete_one({"_id": name})
        self._remembered.pop(name, None)

    async def _set(self, name: str, status: str) -> Tenant:
        return await self._change(name, {"status": status})

    async def _change(self, name: str, change: Document) -> Tenant:
        with mongo_writes:
            result = await self._collection.update_one({"_id": name}, {"$set": change})
            document = await self._collection.find_one({"_id": name}) if result.matched_count else None
        if document is None:
            raise error("not-found", f"There is no tenant '{name}'.")
        self._remembered.pop(name, None)
        return _tenant(document)

    async def _check_free(self, name: str, database: str | None) -> None:
        """A database of one's own holds nobody else's data, so that erasing may drop it."""
        with mongo_errors:
            if await self._collection.find_one({"_id": name}):
                raise conflict(TAKEN.format(name))
            if database and (database == self._common or await self._collection.find_one({"database": database})):
                raise conflict(f"The database '{database}' is in use already.")

    async def _unlocked(self, tenant: Tenant) -> Tenant:
        """With the key of its index; 503 where that cannot be opened."""
        if not tenant.encrypted:
            return tenant
        key = await self._vault.purpose_key(tenant.name, INDEX)
        known = self._blindings.get(tenant.name)
        if known is None or known[0] is not key:
            policy = sensitive_of(tenant.sensitive) if tenant.sensitive else default()
            known = self._blindings[tenant.name] = key, Blinding(f"{tenant.name}|{key.id}", policy, BlindIndex(key))
        return replace(tenant, own=replace(tenant.own, blinding=known[1]))

    def _remember(self, tenant: Tenant) -> Tenant:
        self._remembered[tenant.name] = (monotonic() + REMEMBERED, tenant)
        return tenant


def _check_names(name: str, database: str | None) -> None:
    if not NAME.match(name):
        raise bad_value(f"'{name}' is no name for a tenant: 2 to 63 small letters, digits and '-', a letter first.")
    if database is not None and (not DATABASE.match(database) or database in RESERVED):
        raise bad_value(
            f"'{database}' is no name for a database: up to 63 letters, digits, '_' and '-', a letter first."
        )


def _check_setting(name: str, value: str) -> None:
    if name not in SETTINGS:
        raise bad_value(f"'{name}' is no setting of a tenant; {', '.join(SETTINGS)} are.")
    if value not in SETTINGS[name]:
        raise bad_value(f"'{name}' cannot be '{value}'; it can be {' or '.join(SETTINGS[name])}.")


def _document(tenant: Tenant) -> Document:
    return {
        "_id": tenant.name,
        "title": tenant.title,
        "database": tenant.database,
        "native": tenant.native,
        "status": tenant.status,
        "settings": dict(tenant.settings),
        "created": tenant.created,
        "encrypted": tenant.encrypted,
        "sensitive": tenant.sensitive,
        "guards": sorted(tenant.guards),
    }


def _tenant(document: Document) -> Tenant:
    return Tenant(
        document["_id"],
        document["title"],
        document["database"],
        document["native"],
        document["status"],
        document["settings"],
        document["created"],
        _own(document["parameters"]) if "parameters" in document else NONE,
        document.get("encrypted", False),
        document.get("sensitive"),
        # Of a tenant from before this was noted, nobody knows.
        frozenset(document.get("guards", GUARDS)),
    )


def _own(record: Document) -> Own:
    listed = [(definition_of(each["definition"]), each) for each in record["own"]]
    unready = {found.url: each["said"] for found, each in listed if not each["ready"]}
    return Own(record["version"], parameter_set(tuple(found for found, _ in listed)), unready)


def definition_of(kept: Mapping[str, Any]) -> SearchParameter:
    """What a record keeps of a search parameter."""
    return SearchParameter(**{**kept, "base": tuple(kept["base"]), "targets": tuple(kept["targets"])}, components=())
