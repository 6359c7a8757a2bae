"""Backups of encrypted tenants: sealed twice, and useless for whom a key was destroyed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.backup import archive
from fhir_server.store.backup.creating import Made, create
from fhir_server.store.backup.restoring import restore
from fhir_server.store.backup.verifying import parts
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.file import FileKek
from tests.store.conftest import as_system
from tests.store.resources import patient
from tests.store.test_backup import kek, key_file, new_store

__all__ = ["kek", "new_store"]


async def backed_up(store: Store, kek: FileKek, out: Path) -> Made:
    """Of a new tenant with two patients."""
    repository = as_system(store, await store.tenants.create("acme"))
    for name in ("one", "two"):
        await repository.update(patient(name, f"Canary-{name}"))
    return await create(store, kek, out)


async def families(store: Store, *names: str) -> list[str]:
    repository = as_system(store, await store.tenants.latest("acme"))
    return [(await repository.current("Patient", each)).resource()["name"][0]["family"] for each in names]


async def test_with_the_keys_beside_it_and_not_without(
    new_store: Callable[..., Any], kek: FileKek, tmp_path: Path
) -> None:
    named = f"file:{key_file(tmp_path / 'wrapping')}"
    async with new_store(kek=named) as store:
        old = await backed_up(store, kek, tmp_path / "out")
        assert old.manifest.keys > 0
        inside = b"".join(block for *_, block in parts(old.path, await archive.key_of(old.header, kek, old.path)))
        assert b"Canary" not in inside
        assert b"acme|patient/one/1" not in inside
    async with new_store(kek=named) as other:
        await restore(other, kek, [old.path])
        assert await families(other, "one", "two") == ["Canary-one", "Canary-two"]
    old.files[1].rename(tmp_path / "away")
    async with new_store(kek=named) as other:
        with pytest.raises(StoreError, match="without these keys nothing of it can be read"):
            await restore(other, kek, [old.path])


async def test_a_key_that_was_destroyed_since_is_not_brought_back(
    new_store: Callable[..., Any], kek: FileKek, tmp_path: Path
) -> None:
    named = f"file:{key_file(tmp_path / 'wrapping')}"
    out = tmp_path / "out"
    async with new_store(kek=named) as store:
        old = await backed_up(store, kek, out)
        await store.common.encryption_keys.update_one(
            {"_id": "acme|patient/one/1"}, {"$set": {"state": "destroyed"}, "$unset": {"wrapped": 1}}
        )
        new = await create(store, kek, out)
    assert new.files[1] == old.files[1]
    async with new_store(kek=named) as other:
        await restore(other, kek, [old.path])
        assert await families(other, "two") == ["Canary-two"]
        with pytest.raises(FhirError):
            await families(other, "one")


async def test_keys_older_than_the_backup_are_refused(
    new_store: Callable[..., Any], kek: FileKek, tmp_path: Path
) -> None:
    async with new_store(kek=f"file:{key_file(tmp_path / 'wrapping')}") as store, new_store() as other:
        await store.tenants.create("acme")
        first = await create(store, kek, tmp_path / "out")
        keys = first.files[1].read_bytes()
        await as_system(store, await store.tenants.latest("acme")).update(patient("p1"))
        second = await create(store, kek, tmp_path / "out")
        second.files[1].write_bytes(keys)
        with pytest.raises(StoreError, match="is older than"):
            await restore(other, kek, [second.path])
