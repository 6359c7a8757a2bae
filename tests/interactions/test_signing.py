"""$sign, $verify-signature and the locks that signatures leave.  21 CFR 11.50, 11.70, 11.200"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.attestation import MEANINGS
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import context
from fhir_server.store.connection import Store
from fhir_server.store.signing import Attestations
from fhir_server.store.unit import Buffered, Immediate
from fhir_server.store.versions import Write
from tests.interactions.conftest import ask, seen_by, transaction
from tests.interactions.signing import NOTE, WEIGHT, Signer, body, signer
from tests.store.conftest import new_tenant
from tests.store.sealed import sealed_store

PLACE = "Composition/n1"
ROUNDS = int(os.environ.get("FHIR_TEST_SIGNING_ROUNDS", "4"))


@pytest.fixture
async def ann(store: Store, ctx: Context) -> Signer:
    """Somebody who signs, and a note."""
    await ask(ctx, f"PUT {PLACE}", {**NOTE, "id": "n1"})
    return await signer(store, ctx)


async def refused(asked: Any, status: int, code: str) -> FhirError:
    with pytest.raises(FhirError) as problem:
        await asked
    assert (problem.value.status, problem.value.issues[0].code) == (status, code), str(problem.value)
    return problem.value


async def test_who_when_and_why(store: Store, ctx: Context, ann: Signer) -> None:
    """21 CFR 11.50(a): printed name, date and time, meaning; (b): in the form that people read."""
    await ask(ctx, "PUT Practitioner/7", {"resourceType": "Practitioner", "id": "7"})
    found = await ann.signs(PLACE, meaning="approval", reason="as discussed")
    (signature,) = found["signature"]
    assert signature["type"] == [MEANINGS["approval"].coding]
    assert signature["who"] == {"reference": "Practitioner/7", "display": "Ann Lee, MD"}
    assert (signature["when"], found["recorded"]) == (found["meta"]["lastUpdated"],) * 2
    assert signature["sigFormat"] == "application/jose"
    assert found["target"] == [{"reference": f"{PLACE}/_history/1"}]
    assert found["reason"] == [{"text": "as discussed"}]
    for shown in ("Ann Lee, MD", signature["when"], "approval", f"{PLACE}/_history/1", "as discussed"):
        assert shown in found["text"]["div"]
    assert body(await ask(ctx, f"GET Provenance/{found['id']}")) == found
    assert body(await ask(ctx, f"GET Provenance?target={PLACE}"))["total"] == 1


async def test_a_signer_without_a_resource_of_their_own_is_named_by_the_account(ann: Signer) -> None:
    who = (await ann.signs(PLACE))["signature"][0]["who"]
    assert who["identifier"]["value"] == ann.user.user_id
    assert "reference" not in who


async def test_a_signature_is_verified(ann: Signer) -> None:
    assert await ann.verifies(PLACE) == [{"state": "unsigned"}]
    signed = await ann.signs(PLACE)
    state, found = await ann.verifies(PLACE)
    assert state == {"state": "signed"}
    assert (found["result"], found["current"], found["target"]["reference"]) == ("valid", True, f"{PLACE}/_history/1")
    assert (found["who"]["display"], found["meaning"]["code"]) == ("Ann Lee, MD", MEANINGS["author"].oid)
    assert await ann.verifies(f"Provenance/{signed['id']}") == [found]


async def test_several_people_sign_one_version(store: Store, ctx: Context, ann: Signer) -> None:
    bob = await signer(store, ctx, name="Bob Berg")
    await ann.signs(PLACE)
    await bob.signs(PLACE, meaning="review")
    found = (await ann.verifies(PLACE))[1:]
    assert [(each["who"]["display"], each["result"]) for each in found] == [
        ("Ann Lee, MD", "valid"),
        ("Bob Berg", "valid"),
    ]


async def test_each_signature_needs_a_word_of_its_own(store: Store, ctx: Context, ann: Signer) -> None:
    word = await ann.word()
    await ann.signs(PLACE, stepUp=word)
    bob = await signer(store, ctx)
    for asked in (
        ann.signs(PLACE, stepUp=word),
        ann.signs(PLACE, stepUp=await bob.word()),
        ann.signs(PLACE, stepUp=await ann.word("break-glass")),
        ann.signs(PLACE, stepUp="nothing"),
    ):
        await refused(asked, 403, "forbidden")


async def test_a_word_of_another_session_is_refused(store: Store, ctx: Context, ann: Signer) -> None:
    elsewhere = Signer(store, ann.ctx, ann.user, "another session")
    await refused(elsewhere.signs(PLACE), 403, "forbidden")


async def test_only_people_sign(store: Store, ctx: Context, ann: Signer) -> None:
    """Neither a client that acts for nobody nor the operator; a right to change what is signed is needed too."""
    client = seen_by(store, ctx, "system/*.cruds", ann.user.user_id, token_id="t1")
    await refused(Signer(store, client, ann.user, "t1").signs(PLACE), 403, "forbidden")
    await refused(Signer(store, ctx, ann.user, ann.session).signs(PLACE), 403, "forbidden")
    reader = await signer(store, ctx, "user/*.rs")
    await refused(reader.signs(PLACE), 403, "forbidden")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"meaning": None}, 422, "required"),
        ({"meaning": "autograph"}, 422, "code-invalid"),
        ({"stepUp": None}, 400, "required"),
        ({"version": 2}, 409, "conflict"),
    ],
    ids=str,
)
async def test_what_is_missing_is_refused(ann: Signer, more: dict[str, Any], status: int, code: str) -> None:
    await refused(ann.signs(PLACE, **more), status, code)
    assert await ann.verifies(PLACE) == [{"state": "unsigned"}]


async def test_a_signature_needs_a_printed_name(store: Store, ctx: Context, ann: Signer) -> None:
    nameless = await signer(store, ctx, name=" ")
    await refused(nameless.signs(PLACE), 422, "required")


async def test_nobody_signs_what_they_have_not_seen(ann: Signer) -> None:
    given = {"meaning": "author", "stepUp": await ann.word()}
    await refused(ann.calls(f"{PLACE}/$sign", given), 412, "conflict")


async def test_a_record_of_a_record_is_not_signed(store: Store, ctx: Context, ann: Signer) -> None:
    place = f"Provenance/{(await ann.signs(PLACE))['id']}"
    everything = Signer(store, ctx, ann.user, ann.session)
    for asked in (everything.signs(place), everything.amends(place)):
        await refused(asked, 405, "not-supported")


async def test_signing_is_no_part_of_a_transaction(ann: Signer) -> None:
    given = {"resourceType": "Parameters", "parameter": [{"name": "stepUp", "valueString": await ann.word()}]}
    for request, resource in (
        (f"POST {PLACE}/$sign", given),
        ("PUT Patient/p", {"resourceType": "Patient", "id": "p"}),
    ):
        bundle = transaction((request, resource), (f"POST {PLACE}/$sign", given))
        with pytest.raises(FhirError):
            await ask(ann.ctx, "POST ", bundle)


PATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Composition.title"},
                {"name": "value", "valueString": "Another"},
            ],
        }
    ],
}
META = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
WRITES: dict[str, tuple[str, dict[str, Any] | None]] = {
    "update": (f"PUT {PLACE}", {**NOTE, "id": "n1", "title": "Another"}),
    "conditional update": ("PUT Composition?_id=n1", {**NOTE, "title": "Another"}),
    "patch": (f"PATCH {PLACE}", PATCH),
    "conditional patch": ("PATCH Composition?_id=n1", PATCH),
    "delete": (f"DELETE {PLACE}", None),
    "conditional delete": ("DELETE Composition?_id=n1", None),
    "$meta-add": (f"POST {PLACE}/$meta-add", META),
    "transaction": ("POST ", transaction((f"PUT {PLACE}", {**NOTE, "id": "n1", "title": "Another"}))),
}


@pytest.mark.parametrize("write", WRITES)
async def test_what_is_signed_is_locked(ctx: Context, ann: Signer, write: str) -> None:
    request, resource = WRITES[write]
    await ann.signs(PLACE)
    await refused(ask(ctx, request, resource), 409, "business-rule")
    assert (await ask(ctx, f"GET {PLACE}")).etag == 'W/"1"'


async def test_labels_of_what_is_signed_are_not_taken_away(store: Store, ctx: Context) -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
    await ask(ctx, f"PUT {PLACE}", {**NOTE, "id": "n1", "meta": label})
    signed = await (await signer(store, ctx)).signs(PLACE)
    assert signed["meta"]["security"] == label["security"], "as confidential as what was signed"
    gone = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": label}]}
    await refused(ask(ctx, f"POST {PLACE}/$meta-delete", gone), 409, "business-rule")


async def test_a_signature_itself_is_locked(ctx: Context, ann: Signer) -> None:
    found = await ann.signs(PLACE)
    await refused(ask(ctx, f"DELETE Provenance/{found['id']}"), 409, "business-rule")
    await refused(
        ask(ctx, f"PUT Provenance/{found['id']}", {**found, "recorded": "2020-01-01T00:00:00Z"}), 409, "business-rule"
    )


async def test_a_stale_precondition_is_told_first(ctx: Context, ann: Signer) -> None:
    await ann.signs(PLACE)
    await refused(ask(ctx, f"PUT {PLACE}", {**NOTE, "id": "n1"}, if_match='W/"7"'), 412, "conflict")


async def stored(store: Store, key: str) -> dict[str, Any]:
    found = await store.common.resources.find_one({"_id": key})
    assert found is not None
    return found


async def test_one_byte_changed_in_the_database_is_noticed(
    store: Store, ctx: Context, ann: Signer, counted: Callable[[str, int], None]
) -> None:
    """21 CFR 11.70"""
    signed = await ann.signs(PLACE)
    tenant = ctx.repo.tenant.name
    for key in (f"{tenant}|Composition|n1", f"{tenant}|Provenance|{signed['id']}"):
        raw = bytes((await stored(store, key))["body"])
        places = range(0, len(raw), max(1, len(raw) // 30))
        for place in places:
            changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
            await store.common.resources.update_one({"_id": key}, {"$set": {"body": changed}})
            assert (await ann.verifies(PLACE))[1]["result"] != "valid", changed[max(0, place - 20) : place + 20]
        counted("bytes changed in the database, all noticed", len(places))
        await store.common.resources.update_one({"_id": key}, {"$set": {"body": raw}})
    assert (await ann.verifies(PLACE))[1]["result"] == "valid"


async def test_a_signature_is_not_copied_to_another_record(store: Store, ctx: Context, ann: Signer) -> None:
    """Written past the server, with the same words in the other record."""
    await ask(ctx, "PUT Composition/n2", {**NOTE, "id": "n2"})
    signed = await ann.signs(PLACE)
    for target in ("Composition/n2/_history/1", "Composition/n1/_history/2"):
        copy = {**signed, "id": "copy", "target": [{"reference": target}]}
        document = await stored(store, f"{ctx.repo.tenant.name}|Provenance|{signed['id']}")
        key, entries = f"{ctx.repo.tenant.name}|Provenance|copy", [f"target={target.partition('/_history')[0]}"]
        changed = {**document, "_id": key, "id": "copy", "body": json.encode(copy), "tok": entries}
        await store.common.resources.replace_one({"_id": key}, changed, upsert=True)
        (found,) = await ann.verifies("Provenance/copy")
        assert found["result"] == "broken"


async def test_a_signature_of_another_tenant_is_made_with_an_unknown_key(
    store: Store, ctx: Context, ann: Signer, tenant: Any
) -> None:
    signed = await ann.signs(PLACE)
    elsewhere = await tenant()
    other = await signer(store, elsewhere)
    for resource in (json.trusted((await ask(ctx, f"GET {PLACE}")).body or b""), signed):
        await elsewhere.repo.update(resource)
    assert (await other.verifies(PLACE))[1]["result"] == "unknown-key"


async def test_keys_that_have_retired_still_verify(store: Store, ctx: Context, ann: Signer) -> None:
    await ann.signs(PLACE)
    await store.keys.rotate(ctx.repo.tenant.name)
    await store.keys.rotate(ctx.repo.tenant.name, drop=True)
    await ann.signs(PLACE, meaning="review")
    assert [each["result"] for each in (await ann.verifies(PLACE))[1:]] == ["valid", "valid"]
    assert len(await store.keys.attesting(ctx.repo.tenant.name)) == 3


async def test_a_signature_made_elsewhere_is_not_judged(ctx: Context, ann: Signer) -> None:
    signature = {"type": [MEANINGS["author"].coding], "when": "2020-01-01T00:00:00Z", "who": {"display": "X"}}
    provenance = {
        "resourceType": "Provenance",
        "target": [{"reference": PLACE}],
        "recorded": "2020-01-01T00:00:00Z",
        "agent": [{"who": {"display": "X"}}],
        "signature": [{**signature, "sigFormat": "image/png", "data": "AAAA"}],
    }
    await ask(ctx, "POST Provenance", provenance)
    tag = [{"system": "https://fhir-server.example/CodeSystem/legacy-source", "code": "emr"}]
    policy = ["https://fhir-server.example/policy/signature/password"]
    await ask(ctx, "POST Provenance", {**provenance, "meta": {"tag": tag}, "policy": policy})
    found = (await ann.verifies(PLACE))[1:]
    assert [each["result"] for each in found] == ["unsupported", "imported"]
    assert "image/png" in found[0]["why"]
    assert "the password had been verified" in found[1]["why"]


async def edits(ctx: Context, place: str) -> int:
    """How many of three edits were taken."""
    taken = 0
    for number in range(3):
        await asyncio.sleep(random.uniform(0, 0.03))
        try:
            await ask(ctx, f"PUT {place}", {**WEIGHT, "id": place.partition("/")[2], "note": [{"text": str(number)}]})
            taken += 1
        except FhirError as problem:
            if problem.status != 409:
                raise
    return taken


async def signs(who: Signer, place: str) -> int:
    """Whether one of some tries to sign what is there succeeded."""
    for _ in range(6):
        etag = (await ask(who.ctx, f"GET {place}")).etag or ""
        try:
            await who.signs(place, int(etag[3:-1]))
        except FhirError as problem:
            if problem.status != 409:
                raise
        else:
            return 1
    return 0


async def test_a_signature_is_over_the_version_that_is_stored(
    store: Store, ctx: Context, counted: Callable[[str, int], None]
) -> None:
    """Eight at a time sign and edit: whoever signs has signed what is current when it is committed."""
    signers = [await signer(store, ctx) for _ in range(4)]
    for number in range(ROUNDS):
        place = f"Observation/o{number}"
        await ask(ctx, f"PUT {place}", {**WEIGHT, "id": f"o{number}"})
        signed = asyncio.gather(*(signs(who, place) for who in signers))
        edited = sum(await asyncio.gather(*(edits(ctx, place) for _ in range(4))))
        state, *found = await signers[0].verifies(place) if sum(await signed) else (None,)
        current = (await ask(ctx, f"GET {place}")).etag
        assert current == f'W/"{1 + edited}"', "no edit was lost"
        assert [(each["result"], each["current"]) for each in found] == [("valid", True)] * sum(signed.result())
        assert state in ({"state": "signed"}, None)
        counted("signatures beside edits, each over the version that stayed", len(found))
        counted("edits beside signatures", edited)


@pytest.mark.parametrize("edit", ["update", "transaction"])
async def test_an_edit_that_began_before_a_signature_is_refused(
    ctx: Context, ann: Signer, monkeypatch: pytest.MonkeyPatch, edit: str
) -> None:
    """It has seen the record unlocked, and comes to write it when it has been signed."""
    begun, signed, unit = asyncio.Event(), asyncio.Event(), {"update": Immediate, "transaction": Buffered}[edit]
    store_of = unit.store

    async def late(self: Any, write: Write) -> None:
        if write.version.resource_type == "Composition":
            begun.set()
            await signed.wait()
        await store_of(self, write)

    monkeypatch.setattr(unit, "store", late)
    writing = asyncio.create_task(ask(ctx, *WRITES[edit]))
    await begun.wait()
    await ann.signs(PLACE)
    signed.set()
    with pytest.raises(FhirError) as problem:
        await writing
    assert problem.value.status == 409
    assert [each.get("current", True) for each in await ann.verifies(PLACE)] == [True, True]


@pytest.mark.parametrize("edit", ["update", "transaction", "delete"])
async def test_a_signature_that_began_before_an_edit_is_refused(
    ctx: Context, ann: Signer, monkeypatch: pytest.MonkeyPatch, edit: str
) -> None:
    lock = Attestations.lock

    async def late(self: Attestations, version: Version, provenance_id: str) -> None:
        if not edited:
            edited.append(await ask(ctx, *WRITES[edit]))
        await lock(self, version, provenance_id)

    edited: list[Any] = []
    monkeypatch.setattr(Attestations, "lock", late)
    with pytest.raises(FhirError) as problem:
        await ann.signs(PLACE)
    assert problem.value.status in (409, 410)
    assert body(await ask(ctx, f"GET Provenance?target={PLACE}"))["total"] == 0


async def test_what_is_encrypted_is_signed_as_it_is_read(mongo_url: str, tmp_path: Path) -> None:
    async with sealed_store(mongo_url, tmp_path) as store:
        found = await new_tenant(store)
        repository = store.repository(found, Caller.system(found.name, "tests"))
        await repository.update({**NOTE, "id": "n1"})
        ann = await signer(store, context(repository, base=f"http://x/fhir/{found.name}", cursor_key=b"k" * 32))
        signed = await ann.signs(PLACE)
        await ann.amends(PLACE, resource={**NOTE, "id": "n1", "title": "Another"})
        state, first = await ann.verifies(PLACE)
        assert (state["state"], first["result"]) == ("amended", "valid")
        kept = await stored(store, f"{found.name}|Provenance|{signed['id']}")
        assert b"Ann Lee" not in bytes(kept["body"])
