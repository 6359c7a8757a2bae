"""Backups: everything there and back, hashes equal; what was tampered with is refused."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.terminology.code_system import Concept
from fhir_server.store.attempts import Pauses
from fhir_server.store.backup import archive, restoring, verifying
from fhir_server.store.backup.archive import Broken
from fhir_server.store.backup.creating import create
from fhir_server.store.backup.restoring import restore
from fhir_server.store.backup.verifying import verify
from fhir_server.store.bodies import THRESHOLD
from fhir_server.store.clients import Client
from fhir_server.store.concepts import Loaded, Row
from fhir_server.store.connection import Store, opened
from fhir_server.store.errors import StoreError
from fhir_server.store.features import FeatureRecords
from fhir_server.store.grants import Grant
from fhir_server.store.kek.file import FileKek
from fhir_server.store.mappings import MappingStates
from fhir_server.store.repository import Repository
from fhir_server.store.users import User
from tests.store.conftest import as_system
from tests.store.resources import observation, patient, plan_of

STATE = {"source_system": "pms", "source_table": "clients", "source_pk": "1", "output": "Patient", "status": "mapped"}


@pytest.fixture
def kek(tmp_path: Path) -> FileKek:
    return FileKek(key_file(tmp_path / "key"))


def key_file(path: Path) -> Path:
    path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o600)
    return path


@pytest.fixture
async def new_store(mongo_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Opens stores in databases of their own, which are dropped afterwards."""
    names: list[str] = []

    def make(**more: Any) -> Any:
        names.append(f"backup_{uuid4().hex}")
        return opened(mongo_url=mongo_url, database=names[-1], **more)

    yield make
    async with AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client:
        for name in await client.list_database_names():
            if any(name.startswith(each) for each in names):
                await client.drop_database(name)


@pytest_asyncio.fixture(scope="module")
async def filled(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    """A store that tests only read."""
    async with opened(mongo_url=mongo_url, database=database_name) as store:
        await fill(store, "acme")
        yield store


async def fill(store: Store, name: str, **more: Any) -> Repository:
    """Something of each kind that a tenant has."""
    repository = as_system(store, await store.tenants.create(name, **more))
    await repository.put_many([patient(f"p{number}") for number in range(30)])
    await repository.update(patient("p1", "Jones"))
    await repository.update(observation("o1", "p1") | {"note": [{"text": "x" * (THRESHOLD + 1)}]})
    await repository.delete("Patient", "p2")
    await repository.transaction(lambda inside: inside.claim("Patient?identifier=1"))
    await repository.transaction(lambda inside: inside.keep_answer("key", "request", EntryResponse(201)))
    await repository.concepts.keep("load", [Row(0, "a", Concept("a"), ("a",))])
    await repository.concepts.take_over("urn:a", None, Loaded("load", "complete", 1))
    await MappingStates(store, repository.tenant).save([STATE])
    await FeatureRecords(store, repository.tenant).put([{"resourceType": "accounts/user", "id": "u1"}])
    await store.clients.add(Client(name, "app", "An App", "public", "patient/*.rs"))
    await store.grants.add(Grant(name, "app", "u1", ("patient/*.rs",)))
    await store.handles.new(name, "code", {}, timedelta(minutes=1))
    user = await store.users.add(User(name, "ann", "Ann"))
    await store.sessions.begin(user, ("pwd",), timedelta(minutes=1), None, user.created)
    await store.attempts.charge(name, "account:x", Pauses((), timedelta(minutes=1)))
    await store.keys.signing(name)
    return repository


async def everything(store: Store, database: str | None = None) -> dict[str, list[bytes]]:
    """The bytes of every document that does not expire soon."""
    raw = store.raw(database or store.common.name)
    found = {}
    for name in await raw.list_collection_names():
        if name not in ("migrations", "handles", "sessions", "attempts", "grants") and not name.startswith("system."):
            found[name] = sorted([bytes(each.raw) async for each in raw[name].find({})])
    return {name: documents for name, documents in found.items() if documents}


async def test_a_store_comes_back_as_it_was(new_store: Callable[..., Any], kek: FileKek, tmp_path: Path) -> None:
    """With a tenant that has a database of its own; that one is dropped before it comes back."""
    async with new_store() as store, new_store() as other:
        own = f"{store.common.name}_own"
        await fill(store, "acme")
        await fill(store, "acme-2")
        await fill(store, "apart", database=own)
        made = await create(store, kek, tmp_path / "out")
        before, apart = await everything(store), await everything(store, own)
        assert {"resources", "history", "bodies.files", "bodies.chunks", "tenants", "keys", "claims"} <= before.keys()
        await store._client.drop_database(own)
        restored = await restore(other, kek, [made.path])
        assert await everything(other) == before
        assert await everything(other, own) == apart
        assert restored.tenants == made.manifest.tenants == ["acme", "acme-2", "apart"]
        assert restored.seconds > 0
        back = as_system(other, await other.tenants.latest("acme"))
        assert (await back.current("Patient", "p1")).version_id == 2
        assert len((await back.current("Observation", "o1")).body) > THRESHOLD
        assert len((await back.search(plan_of("Patient?family=jones"))).versions) == 1


async def test_a_tenant_comes_back_among_others(new_store: Callable[..., Any], kek: FileKek, tmp_path: Path) -> None:
    """Nothing of the others is in its backup, and nothing of theirs changes."""
    async with new_store() as store:
        for name in ("acme", "acme-2"):
            await fill(store, name)
        made = await create(store, kek, tmp_path, tenant="acme")
        assert {each.tenant for each in made.manifest.rows} == {"acme"}
        before = await everything(store)
        await store.tenants.erase("acme")
        await restore(store, kek, [made.path])
        assert await everything(store) == before


async def test_everything_is_of_one_moment(new_store: Callable[..., Any], kek: FileKek, tmp_path: Path) -> None:
    """What is written meanwhile is in none of its collections: no version is missing its history."""
    async with new_store() as store, new_store() as other:
        repository = await fill(store, "acme")
        stop = asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                await repository.update(patient("p1", f"Name {number}"))

        writing = asyncio.create_task(write())
        await asyncio.sleep(0.1)
        made = await create(store, kek, tmp_path)
        await asyncio.sleep(0.1)
        stop.set()
        await writing
        await restore(other, kek, [made.path])
        back = as_system(other, await other.tenants.latest("acme"))
        current = (await back.current("Patient", "p1")).version_id
        versions = (await back.history("Patient", "p1", count=10_000)).versions
        assert [each.version_id for each in versions] == list(range(current, 0, -1))
        assert current < (await repository.current("Patient", "p1")).version_id


async def test_it_is_restored_only_where_nothing_is(
    filled: Store, new_store: Callable[..., Any], kek: FileKek, tmp_path: Path
) -> None:
    store = filled
    async with new_store() as other:
        whole = await create(store, kek, tmp_path / "whole")
        one = await create(store, kek, tmp_path / "one", tenant="acme")
        before = await everything(store)
        with pytest.raises(StoreError, match="has tenants already"):
            await restore(store, kek, [whole.path])
        with pytest.raises(StoreError, match="has a tenant 'acme' already"):
            await restore(store, kek, [one.path])
        assert await everything(store) == before
        await other.common.resources.insert_one({"_id": "acme|Patient|x", "t": "acme"})
        for made in (whole, one):
            with pytest.raises(StoreError, match="has documents in resources"):
                await restore(other, kek, [made.path])


async def test_what_was_interrupted_begins_anew(
    filled: Store, new_store: Callable[..., Any], kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure leaves nothing; a process that was killed leaves a mark, by which the next one clears what is there."""
    made = await create(filled, kek, tmp_path)
    before = await everything(filled)
    async with new_store() as other:

        async def fail(*_: Any) -> None:
            raise StoreError("It was interrupted.")

        with monkeypatch.context() as patched:
            patched.setattr(restoring, "_opened", fail)
            with pytest.raises(StoreError, match="interrupted"):
                await restore(other, kek, [made.path])
            assert await everything(other) == {}
            patched.setattr(restoring.Target, "clear", fail)
            with pytest.raises(StoreError, match="interrupted"):
                await restore(other, kek, [made.path])
        assert await everything(other) != {}
        assert await other.tenants.list() == []
        await restore(other, kek, [made.path])
        assert await everything(other) == before


async def test_what_was_restored_wrongly_is_noticed_and_removed(
    filled: Store, new_store: Callable[..., Any], kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(filled, kek, tmp_path)
    async with new_store() as other:
        compared = restoring._compared

        async def meddled(target: Any) -> None:
            await other.common.resources.update_one({"_id": "acme|Patient|p1"}, {"$set": {"v": 9}})
            await compared(target)

        monkeypatch.setattr(restoring, "_compared", meddled)
        with pytest.raises(StoreError, match="resources of acme in common"):
            await restore(other, kek, [made.path])
        assert await everything(other) == {}


async def test_a_tampered_file_is_refused_wherever_it_is_touched(
    filled: Store, kek: FileKek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CHUNK", 2_000)
    made = await create(filled, kek, tmp_path / "one")
    other = await create(filled, kek, tmp_path / "other")
    whole = made.path.read_bytes()
    assert (await verify(made.path, kek)).manifest == made.manifest
    start, chunks = cut(whole)
    assert len(chunks) > 3
    foreign = cut(other.path.read_bytes())[1]
    bad = {
        **{f"bit {at}": flipped(whole, at) for at in range(0, len(whole), len(whole) // 60)},
        "a bit of the header": flipped(whole, whole.index(b'"tenant"') + 1),
        "another time in the header": whole.replace(b'"created":"20', b'"created":"19', 1),
        "dropped": start + b"".join([chunks[0], *chunks[2:]]),
        "moved": start + b"".join([chunks[1], chunks[0], *chunks[2:]]),
        "repeated": start + b"".join([chunks[0], chunks[0], *chunks[1:]]),
        "cut within a chunk": whole[:-10],
        "cut after a chunk": start + b"".join(chunks[:-1]),
        "cut after the header": start,
        "something after the end": whole + chunks[-1],
        "a chunk of another file": start + b"".join([chunks[0], foreign[1], *chunks[2:]]),
        "nothing": b"",
        "something else": b"PK" + whole[2:],
    }
    for what, content in bad.items():
        path = tmp_path / "bad.fhirbackup"
        path.write_bytes(content)
        assert await refused(path, kek), what


async def refused(path: Path, kek: FileKek) -> bool:
    try:
        await verify(path, kek)
    except Broken:
        return True
    return False


def cut(whole: bytes) -> tuple[bytes, list[bytes]]:
    """Header and chunks."""
    at = len(b"fhir-server backup 1\n")
    at += 4 + int.from_bytes(whole[at : at + 4], "big")
    start, chunks = whole[:at], []
    while at < len(whole):
        end = at + 4 + int.from_bytes(whole[at : at + 4], "big")
        chunks.append(whole[at:end])
        at = end
    return start, chunks


def flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


async def test_without_its_key_a_backup_tells_nothing(filled: Store, kek: FileKek, tmp_path: Path) -> None:
    made = await create(filled, kek, tmp_path / "out")
    assert b"Jones" not in made.path.read_bytes()
    assert made.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Broken, match="was made with the key file:"):
        await verify(made.path, FileKek(key_file(tmp_path / "another")))


async def test_no_collection_is_forgotten(filled: Store, kek: FileKek, tmp_path: Path) -> None:
    """Also one that this release does not know."""
    raw = filled.raw(filled.common.name)
    await filled._client[filled.common.name]["of_a_later_release"].insert_one({"_id": "acme|1"})
    made = await create(filled, kek, tmp_path, tenant="acme")
    full = {each.collection for each in made.manifest.rows}
    assert "of_a_later_release" in full
    there = {name for name in await raw.list_collection_names() if await raw[name].find_one({})}
    assert there - full <= {"migrations", "encryption_keys"}


async def test_a_store_in_memory_has_none(memory_store: Store, kek: FileKek, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="in memory"):
        await create(memory_store, kek, tmp_path)


async def test_a_folder_is_listed_without_a_key(filled: Store, kek: FileKek, tmp_path: Path) -> None:
    made = await create(filled, kek, tmp_path / "out", tenant="acme")
    (tmp_path / "out/half.fhirbackup").write_bytes(made.path.read_bytes()[:40])
    found = verifying.listed(tmp_path / "out")
    assert {(path, header.kind, header.tenant) for path, header in found} == {
        (made.files[0], "full", "acme"),
        (made.files[1], "keys", "acme"),
    }
    assert abs(verifying.at(made.header) - datetime.now(UTC)) < timedelta(minutes=1)
