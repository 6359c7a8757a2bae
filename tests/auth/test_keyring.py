"""The keys of tenants, from the store.  RFC 7517"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhir_server.auth.jwt import InvalidToken
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.tokens import AccessTokens, issue
from fhir_server.store import keys as store_keys
from fhir_server.store.connection import Store, opened


@pytest.fixture(scope="module")
async def store(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        await found.tenants.create("acme")
        yield found


async def minted(ring: Keyring) -> str:
    key = await ring.signing("acme")
    return issue(key, base_url="", tenant="acme", subject="s", client_id="c", scope="system/*.rs")


async def test_what_one_process_signs_another_verifies(store: Store, mongo_url: str, database_name: str) -> None:
    token = await minted(Keyring(store.tenants, store.keys))
    async with opened(mongo_url=mongo_url, database=database_name) as other:
        caller = await AccessTokens(Keyring(other.tenants, other.keys), "").caller(token)
    assert caller.tenant == "acme"


async def test_a_retired_key_verifies_and_signs_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_keys, "REMEMBERED", 0.0)
    ring = Keyring(store.tenants, store.keys)
    before = await minted(ring)
    new = await store.keys.rotate("acme")
    assert (await ring.signing("acme")).kid == new.kid
    assert len(await ring.verifying("acme")) == 2
    for token in (before, await minted(ring)):
        assert (await AccessTokens(ring, "").caller(token)).tenant == "acme"


async def test_with_a_dropped_key_ends_what_it_signed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_keys, "REMEMBERED", 0.0)
    ring = Keyring(store.tenants, store.keys)
    before, identity = await minted(ring), (await ring.identity("acme")).kid
    await store.keys.rotate("acme", drop=True)
    with pytest.raises(InvalidToken):
        await AccessTokens(ring, "").caller(before)
    assert (await AccessTokens(ring, "").caller(await minted(ring))).tenant == "acme"
    assert identity not in [each["kid"] for each in await ring.published("acme")]
    again = (await ring.identity("acme")).kid
    await store.keys.rotate("acme")
    assert {again, (await ring.identity("acme")).kid} <= {each["kid"] for each in await ring.published("acme")}


async def test_what_is_published_is_public(store: Store) -> None:
    for key in await Keyring(store.tenants, store.keys).published("acme"):
        assert (key["kty"], key["alg"]) in (("EC", "ES384"), ("RSA", "RS256"))
        assert not {"d", "k", "p", "q"} & key.keys()


async def test_asking_for_the_keys_of_nobody_makes_none(store: Store) -> None:
    """Anyone may show a token that names any tenant: nothing must be stored for it."""
    ring = Keyring(store.tenants, store.keys)
    assert await ring.verifying("nobody") == {}
    assert await store.keys._collection.find_one({"_id": "nobody"}) is None
    with pytest.raises(InvalidToken):
        await AccessTokens(ring, "").caller((await minted(ring)).replace(".", ".e30.", 1))
