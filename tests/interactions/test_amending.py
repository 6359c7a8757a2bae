"""$amend: locked records change with a reason, and what was signed before stays as it was.  21 CFR 11.10(e)"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from fhir_server.fhir import finality, json
from fhir_server.fhir.definitions import codes, resource_types, structure
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.store.connection import Store
from tests.interactions.conftest import Tenant, ask
from tests.interactions.signing import NOTE, WEIGHT, Signer, body, signer

PLACE = "Composition/n1"
BETTER = {**NOTE, "id": "n1", "title": "Better"}


@pytest.fixture
async def ann(store: Store, ctx: Context) -> Signer:
    """Somebody who signs, and a note that is signed."""
    await ask(ctx, f"PUT {PLACE}", {**NOTE, "id": "n1"})
    found = await signer(store, ctx)
    await found.signs(PLACE)
    return found


async def refused(asked: Any, status: int, code: str) -> None:
    with pytest.raises(FhirError) as problem:
        await asked
    assert (problem.value.status, problem.value.issues[0].code) == (status, code), str(problem.value)


async def test_an_amendment_is_a_new_version_that_waits_to_be_signed(ctx: Context, ann: Signer) -> None:
    found = await ann.amends(PLACE, resource=BETTER)
    assert (found["title"], found["status"], found["meta"]["versionId"]) == ("Better", "amended", "2")
    state, first = await ann.verifies(PLACE)
    assert state == {"state": "amended"}
    assert (first["result"], first["current"]) == ("valid", False), "the original is still signed"
    assert body(await ask(ctx, f"GET {PLACE}/_history/1"))["title"] == "Note"
    await refused(ask(ctx, f"PUT {PLACE}", BETTER), 409, "business-rule")
    await ann.signs(PLACE, version=2)
    state, first, second = await ann.verifies(PLACE)
    assert state == {"state": "signed"}
    assert [(each["result"], each["current"]) for each in (first, second)] == [("valid", False), ("valid", True)]


async def test_the_original_in_the_history_is_verified_to_the_byte(store: Store, ctx: Context, ann: Signer) -> None:
    await ann.amends(PLACE, resource=BETTER)
    key = f"{ctx.repo.tenant.name}|Composition|n1|1"
    kept = await store.common.history.find_one({"_id": key})
    assert kept is not None
    changed = bytes(kept["body"]).replace(b'"Note"', b'"note"')
    await store.common.history.update_one({"_id": key}, {"$set": {"body": changed}})
    assert (await ann.verifies(PLACE))[1]["result"] == "broken"


async def test_who_amended_what_and_why(ctx: Context, ann: Signer) -> None:
    await ann.amends(PLACE, resource=BETTER)
    found = body(await ask(ctx, f"GET Provenance?target={PLACE}&_sort=-_lastUpdated"))["entry"][0]["resource"]
    assert found["target"] == [{"reference": f"{PLACE}/_history/2"}]
    assert found["entity"] == [{"role": "revision", "what": {"reference": f"{PLACE}/_history/1"}}]
    assert found["reason"] == [{"text": "a slip of the pen"}]
    assert found["activity"]["coding"][0]["code"] == "UPDATE"
    for shown in ("Ann Lee, MD", found["recorded"], "a slip of the pen"):
        assert shown in found["text"]["div"]
    await refused(ask(ctx, f"DELETE Provenance/{found['id']}"), 409, "business-rule")


OPERATION = [{"op": "replace", "path": "/title", "value": "Better"}]
JSON_PATCH = {
    "resourceType": "Binary",
    "contentType": "application/json-patch+json",
    "data": base64.b64encode(json.encode(OPERATION)).decode(),
}


async def test_by_a_patch(ann: Signer) -> None:
    found = await ann.amends(PLACE, patch=JSON_PATCH)
    assert (found["title"], found["status"]) == ("Better", "amended")


async def test_what_is_entered_in_error_is_said_to_be_by_an_amendment(ann: Signer) -> None:
    found = await ann.amends(PLACE, resource={**BETTER, "status": "entered-in-error"})
    assert found["status"] == "entered-in-error"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"resource": BETTER, "patch": JSON_PATCH}, 400, "invalid"),
        ({"resource": BETTER, "reason": None}, 400, "required"),
        ({"resource": BETTER, "stepUp": None}, 400, "required"),
        ({"resource": BETTER, "stepUp": "nothing"}, 403, "forbidden"),
        ({"resource": {**BETTER, "id": "n2"}}, 400, "invalid"),
        ({"resource": {**BETTER, "title": None}}, 400, "structure"),
        ({"resource": {**BETTER, "subject": {"reference": "Patient/nobody"}}}, 422, "not-found"),
        ({"resource": BETTER, "version": 2}, 409, "conflict"),
    ],
    ids=["neither", "both", "no reason", "no word", "wrong word", "other id", "invalid", "dangling", "stale"],
)
async def test_what_is_wrong_changes_nothing(ctx: Context, ann: Signer, more: Any, status: int, code: str) -> None:
    await refused(ann.amends(PLACE, **more), status, code)
    assert (await ask(ctx, f"GET {PLACE}")).etag == 'W/"1"'
    assert (await ann.verifies(PLACE))[0] == {"state": "signed"}


async def test_what_is_not_locked_needs_no_amendment(store: Store, ctx: Context) -> None:
    await ask(ctx, "PUT Observation/o1", {**WEIGHT, "id": "o1"})
    ann = await signer(store, ctx)
    await refused(ann.amends("Observation/o1", resource={**WEIGHT, "id": "o1"}), 409, "business-rule")


async def test_of_two_amendments_at_a_time_one_is_taken(store: Store, ctx: Context, ann: Signer) -> None:
    bob = await signer(store, ctx)
    both = (each.amends(PLACE, resource={**BETTER, "title": each.user.username}) for each in (ann, bob))
    done = await asyncio.gather(*both, return_exceptions=True)
    statuses = [each.status if isinstance(each, FhirError) else 200 for each in done]
    assert sorted(statuses) in ([200, 409], [200, 412])
    assert (await ask(ctx, f"GET {PLACE}")).etag == 'W/"2"'


async def test_a_tenant_may_lock_what_is_final(store: Store, tenant: Tenant) -> None:
    ctx = await tenant(locks="final")
    weight = {**WEIGHT, "id": "o1"}
    await ask(ctx, "PUT Observation/o1", {**weight, "status": "preliminary"})
    await ask(ctx, "PUT Observation/o1", weight)
    await refused(ask(ctx, "PUT Observation/o1", weight), 409, "business-rule")
    await refused(ask(ctx, "DELETE Observation/o1"), 409, "business-rule")
    ann = await signer(store, ctx)
    assert await ann.verifies("Observation/o1") == [{"state": "final"}]
    found = await ann.amends("Observation/o1", version=2, resource=weight)
    assert found["status"] == "amended"


async def test_what_is_final_is_not_locked_unless_a_tenant_wants_it(ctx: Context) -> None:
    for value in (1, 2):
        await ask(ctx, "PUT Observation/o1", {**WEIGHT, "id": "o1", "note": [{"text": str(value)}]})
    assert (await ask(ctx, "GET Observation/o1")).etag == 'W/"2"'


def test_every_status_that_can_be_amended_is_in_the_table() -> None:
    found = {
        (name, each.name)
        for name in resource_types()
        for each in structure(name).elements[name]
        if each.binding and "amended" in (codes(each.binding.value_set) or ()) and each.types == ("code",)
    }
    assert {(name, each.element) for name, each in finality.FINALITIES.items()} == found
