"""Keys of tenants.  RFC 7518 §6.2, RFC 7638"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import ECKey

from fhir_server.fhir.outcome import FhirError
from fhir_server.store import keys
from fhir_server.store.connection import Store, opened
from fhir_server.store.keys import TenantKeys
from tests.store.conftest import new_tenant


def number(text: str) -> int:
    octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert len(octets) == 48
    return int.from_bytes(octets, "big")


async def test_the_public_key_belongs_to_the_private_one(any_store: Store) -> None:
    key = await any_store.keys.signing((await new_tenant(any_store)).name)
    private = load_pem_private_key(key.private.encode(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    signature = private.sign(b"text", ec.ECDSA(hashes.SHA384()))
    point = ec.EllipticCurvePublicNumbers(number(key.public["x"]), number(key.public["y"]), ec.SECP384R1())
    point.public_key().verify(signature, b"text", ec.ECDSA(hashes.SHA384()))
    assert (key.public["alg"], key.public["use"], key.public["kid"]) == ("ES384", "sig", key.kid)
    assert "d" not in key.public


async def test_the_name_of_a_key_is_its_thumbprint(any_store: Store) -> None:
    key = await any_store.keys.signing((await new_tenant(any_store)).name)
    assert ECKey.import_key(key.private).thumbprint() == key.kid


async def test_each_tenant_has_its_own(any_store: Store) -> None:
    one, other = [(await new_tenant(any_store)).name for _ in range(2)]
    assert (await any_store.keys.signing(one)).kid != (await any_store.keys.signing(other)).kid
    cursors = [await any_store.keys.cursor(each) for each in (one, other, one)]
    assert cursors[0] == cursors[2] != cursors[1]
    assert [len(each) for each in cursors] == [32] * 3


async def test_processes_that_start_together_agree(store: Store) -> None:
    tenant = (await new_tenant(store)).name
    registers = [TenantKeys(store.keys._collection, store.vault) for _ in range(8)]
    found = await asyncio.gather(*(each.signing(tenant) for each in registers))
    assert len({each.kid for each in found}) == 1


async def test_rotation_keeps_the_old_key_for_verifying(any_store: Store, store: Store) -> None:
    tenant = (await new_tenant(any_store)).name
    old = await any_store.keys.signing(tenant)
    cursor = await any_store.keys.cursor(tenant)
    new = await any_store.keys.rotate(tenant)
    assert (await any_store.keys.signing(tenant)).kid == new.kid != old.kid
    assert [(each.kid, each.active) for each in await any_store.keys.verifying(tenant)] == [
        (new.kid, True),
        (old.kid, False),
    ]
    assert await any_store.keys.cursor(tenant) == cursor
    assert keys.REMEMBERED <= 5


async def test_where_there_is_a_key_that_wraps_no_secret_can_be_read(mongo_url: str, tmp_path: Path) -> None:
    """Also those that an earlier start without one has stored readable."""
    name, file = f"test_{uuid4().hex}", tmp_path / "kek"
    file.write_bytes(bytes(32))
    file.chmod(0o600)
    async with opened(mongo_url=mongo_url, database=name) as store:
        await store.keys.identity("acme")
        before = await _secrets(store)
    async with opened(mongo_url=mongo_url, database=name, kek=f"file:{file}") as store:
        assert await _secrets(store) == before
        store.keys._remembered.clear()
        assert await _secrets(store) == before
        rotated = await store.keys.rotate("acme")
        stored = str(await store.keys._collection.find_one({"_id": "acme"}))
        new = TenantKeys(store.keys._collection, store.vault)
        assert (await new.signing("acme")).private == rotated.private
        assert await new.cursor("acme") == before[0]
        assert [each.private for each in await new.verifying("acme")][1] == before[1]
    assert "PRIVATE" not in stored
    assert str(before[0])[2:-1] not in stored
    assert "PRIVATE" not in repr(rotated)
    async with opened(mongo_url=mongo_url, database=name) as store:
        with pytest.raises(FhirError, match="FHIR_KEK names no key"):
            await store.keys.cursor("acme")
        await store._client.drop_database(name)


async def _secrets(store: Store) -> list[Any]:
    keys = store.keys
    return [await keys.cursor("acme"), (await keys.signing("acme")).private, (await keys.identity("acme"))[0].private]
