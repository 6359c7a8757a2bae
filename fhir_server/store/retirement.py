"""The end of a key that was replaced: destroyed, once nothing is left that only it opens.

What was sealed elsewhere than in resources and their history goes by itself within days, so it is counted, not sealed
anew: answers to repeatable requests, and those that are fetched later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.crypto import envelope
from fhir_server.crypto.aead import SealBroken
from fhir_server.fhir.outcome import FhirError, error
from fhir_server.fhir.resource import instant
from fhir_server.store.connection import Store
from fhir_server.store.errors import mongo_errors
from fhir_server.store.key_records import SEALED_ANEW, KeyRecords
from fhir_server.store.key_versions import KeyVersion
from fhir_server.store.layout import key_range
from fhir_server.store.tenants import Tenant
from fhir_server.store.vault import ACTIVE, DESTROYED

MARGIN = timedelta(minutes=2)
"""A transaction may last a minute, and a process seals for some seconds with a key that was replaced."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a key still opens."""

    versions: int
    keys: int
    answers: int

    def __bool__(self) -> bool:
        return bool(self.versions or self.keys or self.answers)

    def __str__(self) -> str:
        return f"{self.versions:,} versions of resources, {self.keys:,} keys of patients and {self.answers:,} answers"


@dataclass(frozen=True, slots=True)
class Retirement:
    """Of the keys of one tenant."""

    store: Store
    tenant: Tenant

    async def use(self, key_id: str) -> Use:
        versions = await self.store.reencryption(self.tenant).count([key_id])
        keys = await self.store.key_versions(self.tenant).wrapped_by(key_id)
        return Use(versions, keys, await self._answers(key_id))

    async def retire(self, key_id: str, window: timedelta = MARGIN) -> KeyVersion:
        """Destroys a version of the data key; refused while it opens anything, or anything in backups so old."""
        versions = self.store.key_versions(self.tenant)
        found = next((each for each in await versions.listed() if each.key_id == key_id), None)
        await self._check_age(_check_state(found, key_id), window)
        use = await self.use(key_id)
        if use:
            raise _refused(f"The key {key_id} still opens {use}: run 'fhir-server keys reencrypt' first.")
        await versions.destroy([key_id], replaced=True)
        return next(each for each in await versions.listed() if each.key_id == key_id)

    async def retire_patients(self, window: timedelta = MARGIN) -> int:
        """Destroys the keys of patients that were replaced and open nothing; answers how many."""
        until = datetime.now(UTC) - max(window, MARGIN)
        if await KeyRecords(self.store, self.tenant).since(SEALED_ANEW, datetime.min.replace(tzinfo=UTC)) > until:
            return 0
        versions, bodies, count, after = (
            self.store.key_versions(self.tenant),
            self.store.reencryption(self.tenant),
            0,
            "",
        )
        while found := await versions.retired_patients(after, until):
            used = await bodies.used(found)
            unused = [each for each in found if each not in used]
            await versions.destroy(unused, replaced=True)
            count, after = count + len(unused), found[-1]
        return count

    async def _check_age(self, found: KeyVersion, window: timedelta) -> None:
        """What was copied before everything was sealed anew needs the key that it was sealed with."""
        needed = await KeyRecords(self.store, self.tenant).since(SEALED_ANEW, found.retired or found.created)
        until = needed + max(window, MARGIN)
        if datetime.now(UTC) < until:
            raise _refused(
                f"The key {found.key_id} may open what others are still writing, or a backup that is still kept, "
                f"until {instant(until)}."
            )

    async def _answers(self, key_id: str) -> int:
        place = self.store.of(self.tenant)
        found = 0
        for collection in (place.deferred, place.idempotency):
            with mongo_errors:
                async for each in collection.find({"_id": key_range(self.tenant.name)}):
                    found += any(_sealed_by(blob) == key_id for blob in _blobs(each))
        return found


def _check_state(found: KeyVersion | None, key_id: str) -> KeyVersion:
    if found is None:
        raise error("not-found", f"There is no key '{key_id}'; 'fhir-server keys list' shows those there are.")
    if found.state == ACTIVE:
        raise _refused(f"The key {key_id} is what is sealed with now: run 'fhir-server keys rotate' first.")
    if found.state == DESTROYED:
        raise _refused(f"The key {key_id} was destroyed before.")
    return found


def _refused(said: str) -> FhirError:
    return error("business-rule", said, status=409)


def _blobs(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        yield from _of_all(list(value.values()))
    elif isinstance(value, list):
        yield from _of_all(value)


def _of_all(values: Sequence[Any]) -> Iterator[bytes]:
    for each in values:
        yield from _blobs(each)


def _sealed_by(blob: bytes) -> str | None:
    try:
        return envelope.key_id(blob)
    except SealBroken:
        return None
