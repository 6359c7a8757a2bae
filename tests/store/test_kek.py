"""The key that wraps all others, out of a file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fhir_server.store.connection import opened
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.adapters import kek_of
from fhir_server.store.kek.port import KekError

CONTEXT = {"tenant": "acme", "key": "data/1"}
RAW = bytes(32)


async def test_it_wraps_for_one_tenant_and_key(tmp_path: Path) -> None:
    kek = kek_of("file:", tmp_path)
    assert kek is not None
    wrapped = await kek.wrap(RAW, CONTEXT)
    assert await kek.unwrap(wrapped, CONTEXT) == RAW
    assert RAW not in wrapped
    for other in ({**CONTEXT, "tenant": "other"}, {**CONTEXT, "key": "data/2"}):
        with pytest.raises(KekError):
            await kek.unwrap(wrapped, other)


async def test_the_file_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    first, second = kek_of("file:", tmp_path), kek_of("file:", tmp_path)
    assert first
    assert second
    assert first.name == second.name
    assert await second.unwrap(await first.wrap(RAW, CONTEXT), CONTEXT) == RAW
    (file,) = sorted(tmp_path.glob("*"))  # noqa: ASYNC240
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 32
    assert file.read_bytes().hex() not in repr(first) + first.name


async def test_another_file_opens_nothing(tmp_path: Path) -> None:
    one, other = kek_of("file:", tmp_path / "one"), kek_of("file:", tmp_path / "other")
    assert one
    assert other
    assert one.name != other.name
    with pytest.raises(KekError, match="another key file"):
        await other.unwrap(await one.wrap(RAW, CONTEXT), CONTEXT)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "kek"
    file.write_bytes(RAW)
    file.chmod(mode)
    with pytest.raises(StoreError, match="open to others"):
        kek_of(f"file:{file}", None)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_file_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    file = tmp_path / "kek"
    file.write_bytes(bytes(length))
    file.chmod(0o600)
    with pytest.raises(StoreError, match="32 bytes"):
        kek_of(f"file:{file}", None)


def test_a_lost_file_is_not_made_anew(tmp_path: Path) -> None:
    """Only beside a store of the server's own: elsewhere its data would be lost without a word."""
    with pytest.raises(StoreError, match="cannot be read"):
        kek_of(f"file:{tmp_path / 'kek'}", None)
    with pytest.raises(StoreError, match="cannot be read"):
        kek_of(f"file:{tmp_path / 'kek'}", tmp_path / "store")
    with pytest.raises(StoreError, match="names no file"):
        kek_of("file:", None)


def test_what_names_no_adapter_is_refused() -> None:
    with pytest.raises(StoreError, match="starts with one of file:"):
        kek_of("hunter2", None)
    assert kek_of(None, None) is None
    assert kek_of("", None) is None


async def test_without_a_key_nothing_is_encrypted() -> None:
    async with opened(memory=True) as store:
        assert not (await store.tenants.create("plain")).encrypted
        with pytest.raises(Exception, match="FHIR_KEK names no key"):
            await store.tenants.create("sealed", encrypted=True)


async def test_with_a_key_tenants_are_encrypted_unless_told(tmp_path: Path) -> None:
    file = tmp_path / "kek"
    file.write_bytes(RAW)
    file.chmod(0o600)
    async with opened(memory=True, kek=f"file:{file}") as store:
        sealed = await store.tenants.create("sealed")
        assert (sealed.encrypted, sealed.native) == (True, "off")
        assert not (await store.tenants.create("plain", encrypted=False)).encrypted
        assert (await store.tenants.latest("sealed")).encrypted
