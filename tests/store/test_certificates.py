"""Certificates of what was destroyed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store
from tests.store.conftest import new_tenant

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


async def test_a_certificate_says_what_it_was_given_and_by_whom_it_is_signed(any_store: Store) -> None:
    tenant = (await new_tenant(any_store)).name
    made = await any_store.certificates.issue(tenant, "retention", {"count": 3}, NOW)
    said = {"tenant": tenant, "certificate": made.name, "kind": "retention", "issued": "2026-01-02T03:04:05.678Z"}
    assert made.content == {**said, "count": 3}
    assert await any_store.certificates.fault(made) is None
    assert await any_store.certificates.get(tenant, made.name) == made
    await any_store.keys.rotate(tenant)
    assert await any_store.certificates.fault(made) is None, "retired keys still verify"
    await any_store.keys.rotate(tenant, drop=True)
    assert "does not have" in str(await any_store.certificates.fault(made))


async def test_what_was_changed_or_moved_is_noticed(store: Store) -> None:
    tenant, other = (await new_tenant(store)).name, (await new_tenant(store)).name
    one = await store.certificates.issue(tenant, "retention", {"count": 3}, NOW)
    two = await store.certificates.issue(tenant, "retention", {"count": 4}, NOW)
    parts = one.signed.split(".")
    forged = replace(one, signed=".".join([parts[0], two.signed.split(".")[1], parts[2]]))
    assert "changed after it was issued" in str(await store.certificates.fault(forged))
    assert await store.certificates.fault(replace(one, signed="nonsense")) is not None
    assert "not the certificate" in str(await store.certificates.fault(replace(one, signed=two.signed)))
    assert "does not have" in str(await store.certificates.fault(replace(one, tenant=other)))


async def test_certificates_are_listed_by_kind_and_never_replaced(any_store: Store) -> None:
    tenant = (await new_tenant(any_store)).name
    first = await any_store.certificates.issue(tenant, "retention", {"count": 1}, NOW, name="run-1")
    again = await any_store.certificates.issue(tenant, "retention", {"count": 2}, NOW, name="run-1")
    shredding = await any_store.certificates.issue(tenant, "shredding", {}, NOW.replace(year=2027))
    assert again == first
    assert await any_store.certificates.listed(tenant) == [first, shredding]
    assert await any_store.certificates.listed(tenant, "shredding") == [shredding]
    with pytest.raises(FhirError, match="certificate") as refusal:
        await any_store.certificates.get(tenant, "nothing")
    assert refusal.value.status == 404
