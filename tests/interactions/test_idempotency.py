"""X-Idempotency-Key: done once, answered as often as it is asked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import context
from fhir_server.store.connection import Store
from tests.interactions.conftest import Tenant, ask, seen_by, transaction

PATIENT: dict[str, Any] = {"resourceType": "Patient", "active": True}
EVERYTHING = "system/*.cruds"


async def patients(ctx: Context) -> int:
    answer = await ask(ctx, "GET Patient?_summary=count")
    return int(json.trusted(answer.body or b"")["total"])


async def test_a_create_is_done_once(ctx: Context) -> None:
    first = await ask(ctx, "POST Patient", PATIENT, idempotency_key="k1")
    assert await ask(ctx, "POST Patient", PATIENT, idempotency_key="k1") == first
    assert first.status == 201
    other = await ask(ctx, "POST Patient", PATIENT, idempotency_key="k2")
    assert other.resource_id != first.resource_id
    assert await patients(ctx) == 2


async def test_at_the_same_time_too(ctx: Context) -> None:
    answers = await asyncio.gather(*(ask(ctx, "POST Patient", PATIENT, idempotency_key="k") for _ in range(6)))
    assert len({answer.resource_id for answer in answers}) == 1
    assert await patients(ctx) == 1


async def test_another_request_under_the_same_key_is_422(ctx: Context) -> None:
    await ask(ctx, "POST Patient", PATIENT, idempotency_key="k")
    for request, resource, more in (
        ("POST Patient", {**PATIENT, "active": False}, {}),
        ("POST Patient", PATIENT, {"prefer": frozenset({"return=minimal"})}),
        ("POST ", transaction(("POST Patient", PATIENT)), {}),
    ):
        with pytest.raises(FhirError, match="another request") as refusal:
            await ask(ctx, request, resource, idempotency_key="k", **more)
        assert refusal.value.status == 422
    assert await patients(ctx) == 1


async def test_a_refusal_is_not_kept(ctx: Context) -> None:
    patch = {"resourceType": "Parameters"}
    with pytest.raises(FhirError):
        await ask(ctx, "PATCH Patient/p1", patch, idempotency_key="k")
    await ask(ctx, "PUT Patient/p1", {**PATIENT, "id": "p1"})
    assert (await ask(ctx, "PATCH Patient/p1", patch, idempotency_key="k")).etag == 'W/"2"'
    assert (await ask(ctx, "PATCH Patient/p1", patch, idempotency_key="k")).etag == 'W/"2"'


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_bundle_is_done_once(ctx: Context, kind: str) -> None:
    bundle = transaction(("POST Patient", PATIENT), ("PUT Patient/p1", {**PATIENT, "id": "p1"}), kind=kind)
    first = await ask(ctx, "POST ", bundle, idempotency_key="k")
    assert (await ask(ctx, "POST ", bundle, idempotency_key="k")).body == first.body
    assert await patients(ctx) == 2
    assert (await ask(ctx, "GET Patient/p1")).etag == 'W/"1"'


async def test_a_batch_goes_on_where_it_broke_off(ctx: Context) -> None:
    one, two = ("POST Patient", PATIENT), ("POST Patient", {**PATIENT, "active": False})
    await ask(ctx, "POST ", transaction(one, kind="batch"), idempotency_key="k")
    await ask(ctx, "POST ", transaction(one, two, kind="batch"), idempotency_key="k")
    assert await patients(ctx) == 2


async def test_a_key_is_each_users_of_each_client_in_each_tenant(store: Store, tenant: Tenant) -> None:
    one, other = await tenant(), await tenant()
    callers = [one, other, seen_by(store, one, EVERYTHING, "alice"), seen_by(store, one, EVERYTHING, "bob")]
    answers = [await ask(each, "POST Patient", PATIENT, idempotency_key="k") for each in callers]
    assert len({answer.resource_id for answer in answers}) == 4


async def test_with_other_rights_it_is_another_request(store: Store, ctx: Context) -> None:
    await ask(seen_by(store, ctx, EVERYTHING), "POST Patient", PATIENT, idempotency_key="k")
    with pytest.raises(FhirError, match="another request"):
        await ask(seen_by(store, ctx, "system/Patient.c"), "POST Patient", PATIENT, idempotency_key="k")


async def test_a_key_is_forgotten_after_a_day(store: Store, ctx: Context) -> None:
    first = await ask(ctx, "POST Patient", PATIENT, idempotency_key="k")
    tomorrow = datetime.now(UTC) + timedelta(days=1, seconds=1)
    found = ctx.repo.tenant
    repository = store.repository(found, Caller.system(found.name, "test"), clock=lambda: tomorrow)
    later = context(repository, base=ctx.base, cursor_key=ctx.cursor_key)
    assert (await ask(later, "POST Patient", PATIENT, idempotency_key="k")).resource_id != first.resource_id
    expiring = (await store.common.idempotency.index_information())["at"]
    assert expiring["expireAfterSeconds"] == 86_400
