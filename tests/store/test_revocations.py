"""What was revoked is known at once where it was revoked, and within a second elsewhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.store import revocations as room
from fhir_server.store.connection import Store
from fhir_server.store.revocations import KEPT, Revocations, marked

OLD = time.time() - 60
MARK = marked("acme", "user", "u1")


async def test_what_was_given_before_is_revoked(any_store: Store) -> None:
    known = any_store.revocations
    assert not await known.revoked((MARK,), OLD)
    await known.revoke("acme", "user", "u1")
    assert await known.revoked(("acme|client|x", MARK), OLD)
    assert not await known.revoked((MARK,), time.time() + 2)
    assert not await known.revoked((marked("other", "user", "u1"),), OLD)
    at = await known.at(MARK)
    assert at is not None
    assert abs(at - time.time()) < 5
    assert await known.at("acme|user|nobody") is None


async def test_another_process_looks_again(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Revocations(any_store.common.revocations)
    mark = marked("acme", "grant", "g1")
    assert not await other.revoked((mark,), OLD)
    await any_store.revocations.revoke("acme", "grant", "g1")
    monkeypatch.setattr(room, "monotonic", lambda: time.monotonic() + room.FRESH)
    assert await other.revoked((mark,), OLD)
    await any_store.revocations.revoke("acme", "grant", "g2")
    monkeypatch.setattr(room, "monotonic", lambda: time.monotonic() + 2 * room.FRESH)
    assert await other.revoked((marked("acme", "grant", "g2"),), OLD)


async def test_what_has_expired_is_forgotten(any_store: Store) -> None:
    known = Revocations(any_store.common.revocations)
    await known.revoke("acme", "token", "t1", datetime.now(UTC) - timedelta(seconds=1))
    await known.revoked((), OLD)
    assert marked("acme", "token", "t1") not in known._known


def test_a_revocation_outlives_what_it_is_about() -> None:
    from fhir_server.auth.issuing import ACCESS, OFFLINE, ONLINE
    from fhir_server.auth.jwt import ACCESS_TOKEN

    assert KEPT["grant"] > timedelta(seconds=ACCESS)
    assert KEPT["session"] > max(timedelta(seconds=ACCESS), ONLINE)
    for kind in ("user", "client"):
        assert KEPT[kind] > max(OFFLINE, timedelta(seconds=ACCESS_TOKEN.lifetime))
