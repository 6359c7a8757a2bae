"""People who may sign in to a tenant: who they are and what proves it, never in a form that could be used as it is.

A name is given once: who is disabled stays, so that a record that names somebody always means the same person.
21 CFR 11.100(a), https://pages.nist.gov/800-63-4/sp800-63b.html
"""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fhir_server.crypto.aead import seal, unseal
from fhir_server.fhir.outcome import FhirError, bad_value, conflict, error
from fhir_server.fhir.primitives import whole_milliseconds
from fhir_server.store.database import Collection
from fhir_server.store.errors import is_duplicate, mongo_errors, mongo_writes
from fhir_server.store.ids import uuid7
from fhir_server.store.keys import TenantKeys
from fhir_server.store.layout import Document, key_range

BARE = 20
"""Bytes of a secret that was kept before secrets were sealed; it is sealed when it is next used."""
LONGEST_NAME = 128
MOST_DEVICES = 10


def moment() -> datetime:
    """Now, as MongoDB keeps it: to the millisecond."""
    now = datetime.now(UTC)
    return whole_milliseconds(now)


@dataclass(frozen=True, slots=True)
class User:
    tenant: str
    username: str
    name: str
    user_id: str = field(default_factory=uuid7)
    fhir_user: str | None = None
    """A reference such as `Practitioner/1`."""
    roles: tuple[str, ...] = ()
    patients: tuple[str, ...] | None = None
    """Ids of the patients that this person may act for; None where the roles decide."""
    account: str | None = None
    """The legacy account that this person had, as `accounts/user` names it."""
    disabled: bool = False
    password: str | None = None
    """An argon2id hash."""
    renew: bool = False
    """The password was given by somebody else: it is good for choosing another."""
    secret: bytes | None = None
    """What the codes of the second factor are made from, sealed. RFC 6238"""
    step: int = -1
    """The last time step whose code was used; no earlier one is good any more."""
    recovery: tuple[str, ...] = ()
    """Digests of the recovery codes that are left."""
    devices: tuple[str, ...] = ()
    """Digests of what browsers remember in which this person has signed in."""
    upstream: str | None = None
    """The account of this person at an identity provider: issuer and subject, as `account_at` writes them."""
    created: datetime = field(default_factory=moment)
    changed: datetime = field(default_factory=moment)
    """Sessions and refresh tokens from before this are no longer good."""


def account_at(issuer: str, subject: str) -> str:
    """OpenID Connect Core §5.7: only both together name somebody. An issuer holds no space."""
    return f"{issuer} {subject}"


def login(username: str) -> str:
    """Names that look alike are one name. Unicode TR 36"""
    return unicodedata.normalize("NFKC", username).strip().casefold()


class Users:
    """The people of all tenants of a store."""

    def __init__(self, collection: Collection, keys: TenantKeys) -> None:
        self._collection = collection
        self._keys = keys

    async def sealed(self, user: User, secret: bytes) -> bytes:
        """A secret as it may be kept: it opens with a key of the tenant, for this user only."""
        return seal(await self._keys.sealing(user.tenant), secret, _bound(user))

    async def unsealed(self, user: User, kept: bytes) -> bytes:
        if len(kept) == BARE:
            return kept
        return unseal(await self._keys.sealing(user.tenant), kept, _bound(user))

    async def get(self, tenant: str, username: str) -> User | None:
        with mongo_errors:
            document = await self._collection.find_one({"_id": _key(tenant, username)})
        return _user(document) if document else None

    async def by_id(self, tenant: str, user_id: str) -> User | None:
        with mongo_errors:
            document = await self._collection.find_one({"tenant": tenant, "user_id": user_id})
        return _user(document) if document else None

    async def by_account(self, tenant: str, account: str) -> User | None:
        with mongo_errors:
            document = await self._collection.find_one({"tenant": tenant, "upstream": account})
        return _user(document) if document else None

    async def link(self, user: User, account: str) -> bool:
        """Whether the account is this user's now; not where it is somebody's, or the user got one meanwhile."""
        unchanged = {"_id": _key(user.tenant, user.username), "upstream": user.upstream}
        try:
            with mongo_writes:
                result = await self._collection.update_one(unchanged, {"$set": {"upstream": account}})
        except FhirError as problem:
            if is_duplicate(problem):
                return False
            raise
        return bool(result.matched_count)

    async def existing(self, tenant: str, username: str) -> User:
        found = await self.get(tenant, username)
        if found is None:
            raise _unknown(tenant, username)
        return found

    async def add(self, user: User) -> User:
        _check_name(user.username)
        try:
            with mongo_writes:
                await self._collection.insert_one(_document(user))
        except FhirError as problem:
            if is_duplicate(problem):
                raise conflict(f"There is already a user '{user.username}', or was: names are given once.") from problem
            raise
        return user

    async def listed(self, tenant: str) -> list[User]:
        with mongo_errors:
            documents = await self._collection.find({"_id": key_range(tenant)}).sort("_id").to_list()
        return [_user(each) for each in documents]

    async def change(self, tenant: str, username: str, **changes: Any) -> User:
        """What this changes does not end sessions unless `changed` is among it."""
        with mongo_writes:
            await self._collection.update_one({"_id": _key(tenant, username)}, {"$set": _plain(changes)})
        return await self.existing(tenant, username)

    async def spend_step(self, user: User, step: int) -> bool:
        """Whether no code of this time step, or of a later one, was used before. RFC 6238 §5.2"""
        unspent = {"_id": _key(user.tenant, user.username), "secret": user.secret, "step": {"$lt": step}}
        change: Document = {"step": step}
        if user.secret is not None and len(user.secret) == BARE:
            change["secret"] = await self.sealed(user, user.secret)
        with mongo_writes:
            result = await self._collection.update_one(unspent, {"$set": change})
        return bool(result.matched_count)

    async def spend_recovery(self, user: User, digest: str) -> bool:
        """Whether the code was left; now it is not."""
        unspent = {"_id": _key(user.tenant, user.username), "recovery": digest}
        with mongo_writes:
            result = await self._collection.update_one(unspent, {"$pull": {"recovery": digest}})
        return bool(result.matched_count)

    async def remember_device(self, user: User, digest: str) -> None:
        devices = [*user.devices, digest][-MOST_DEVICES:]
        await self.change(user.tenant, user.username, devices=devices)


def _check_name(username: str) -> None:
    if not 1 <= len(login(username)) <= LONGEST_NAME or not username.isprintable():
        raise bad_value(f"'{username}' is no name for a user: 1 to {LONGEST_NAME} printable characters.")


def _unknown(tenant: str, username: str) -> FhirError:
    return error("not-found", f"There is no user '{username}' in the tenant '{tenant}'.")


def _bound(user: User) -> bytes:
    """One that is moved to somebody else opens nothing there."""
    return f"{user.tenant}|{user.user_id}|second factor".encode()


def _key(tenant: str, username: str) -> str:
    return f"{tenant}|{login(username)}"


def _plain(fields: dict[str, Any]) -> Document:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def _document(user: User) -> Document:
    return {"_id": _key(user.tenant, user.username), **_plain(asdict(user))}


def _user(document: Document) -> User:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    del given["_id"]
    return User(**given)
