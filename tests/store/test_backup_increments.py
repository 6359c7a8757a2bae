"""Increments: what changed since another backup, at the moments of each of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fhir_server.store.backup import archive, changing, verifying
from fhir_server.store.backup.archive import Broken
from fhir_server.store.backup.changing import increment
from fhir_server.store.backup.creating import create
from fhir_server.store.backup.restoring import restore
from fhir_server.store.bodies import THRESHOLD
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.file import FileKek
from fhir_server.store.repository import Repository
from tests.store.resources import observation, patient
from tests.store.test_backup import everything, fill, filled, kek, new_store

__all__ = ["filled", "kek", "new_store"]


async def change(store: Store, repository: Repository, number: int) -> None:
    """Something is created, changed, deleted, and erased."""
    await repository.update(patient("p1", f"Name {number}"))
    await repository.update(patient(f"new{number}"))
    await repository.delete("Patient", f"p{10 + number}")
    await repository.update(observation("o1", "p1") | {"note": [{"text": str(number) * (THRESHOLD + 1)}]})
    await repository.put_many([patient(f"p{each}", f"Bulk {number}") for each in range(20, 30)])
    await store.tenants.create(f"later-{number}")


async def test_a_chain_of_increments_comes_back(
    new_store: Callable[..., Any], kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to each of its moments; with a database of a tenant's own, and batches of two keys."""
    monkeypatch.setattr(changing, "AT_ONCE", 2)
    async with new_store() as store:
        own = f"{store.common.name}_own"
        repository = await fill(store, "acme")
        apart = await fill(store, "apart", database=own)
        made = [await create(store, kek, tmp_path)]
        states = [(await everything(store), await everything(store, own))]
        for number in range(2):
            await change(store, repository, number)
            await apart.update(patient("p1", f"Apart {number}"))
            if number:
                await store.tenants.erase("later-0")
            made.append(await increment(store, kek, tmp_path, tmp_path if number else made[-1].path))
            states.append((await everything(store), await everything(store, own)))
        assert made[-1].manifest.documents < made[0].manifest.documents
        for number in (1, 2):
            await store._client.drop_database(own)
            async with new_store() as other:
                restored = await restore(other, kek, [each.path for each in made[: number + 1]])
                assert (await everything(other), await everything(other, own)) == states[number]
                assert restored.tenants == ["acme", "apart", f"later-{number - 1}"]


async def test_an_increment_of_one_tenant(new_store: Callable[..., Any], kek: FileKek, tmp_path: Path) -> None:
    async with new_store() as store:
        repository, other = await fill(store, "acme"), await fill(store, "acme-2")
        first = await create(store, kek, tmp_path, tenant="acme")
        await change(store, repository, 1)
        await change(store, other, 2)
        second = await increment(store, kek, tmp_path, first.path)
        assert {each.tenant for each in second.manifest.rows} == {"acme"}
        before = await everything(store)
        await store.tenants.erase("acme")
        await restore(store, kek, [first.path, second.path])
        assert await everything(store) == before


async def test_a_time_leaves_out_what_came_after_it(
    filled: Store, kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await create(filled, kek, tmp_path)
    second = await increment(filled, kek, tmp_path, first.path)
    paths = [first.path, second.path]
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(verifying, "at", lambda header: noon + timedelta(hours=header.kind == "increment"))
    for minutes, files in ((0, 1), (59, 1), (60, 2), (600, 2)):
        assert len(verifying.chain(paths, noon + timedelta(minutes=minutes))) == files
    with pytest.raises(StoreError, match="after the time asked for"):
        verifying.chain(paths, noon - timedelta(seconds=1))


async def test_files_that_do_not_follow_each_other_are_refused(filled: Store, kek: FileKek, tmp_path: Path) -> None:
    first = await create(filled, kek, tmp_path)
    second = await increment(filled, kek, tmp_path, first.path)
    third = await increment(filled, kek, tmp_path, second.path)
    for wrong in ([second], [first, third], [first, second, second], [first, first], [second, first]):
        with pytest.raises(StoreError, match="that does not"):
            verifying.chain([each.path for each in wrong])
    with pytest.raises(StoreError, match="that does not"):
        verifying.chain([first.files[1]])


async def test_an_increment_goes_on_only_from_a_backup_of_this_store(
    filled: Store, new_store: Callable[..., Any], kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await create(filled, kek, tmp_path)
    async with new_store() as other:
        with pytest.raises(StoreError, match="no backup of this store"):
            await increment(other, kek, tmp_path, first.path)
    with pytest.raises(StoreError, match="no backup of this store"):
        await increment(filled, kek, tmp_path, first.files[1])
    forged = tmp_path / "forged.fhirbackup"
    raw = first.path.read_bytes()
    earlier = f'"moment":[{first.header.moment[0]},'.encode()
    forged.write_bytes(raw.replace(earlier, earlier.replace(b"[1", b"[2")))
    with pytest.raises(Broken, match="chunk 1 does not open"):
        await increment(filled, kek, tmp_path, forged)
    monkeypatch.setattr(changing, "LAYOUT", 0)
    with pytest.raises(StoreError, match="make a full backup"):
        await increment(filled, kek, tmp_path, first.path)


async def test_what_the_oplog_has_forgotten_needs_a_full_backup(
    filled: Store, kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await create(filled, kek, tmp_path)
    token = first.header.tokens["common"]
    long_ago = msgspec.structs.replace(first.header, tokens={"common": f"{token[:2]}3B9ACA00{token[10:]}"})

    async def known(*_: Any) -> archive.Header:
        return long_ago

    monkeypatch.setattr(changing, "_before", known)
    with pytest.raises(StoreError, match="make a full backup"):
        await increment(filled, kek, tmp_path, first.path)
