"""Encrypted tenants: the same answers, nothing readable in MongoDB, and no answer from what was tampered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scope
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError
from fhir_server.search import registry
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.store.connection import Store
from fhir_server.store.layout import Document
from fhir_server.store.pages import Page
from fhir_server.store.repository import Repository
from fhir_server.store.vault import DESTROYED
from tests.store.conftest import as_system, new_tenant

NOTE = "told in confidence"


@pytest.fixture(scope="module")
def store(sealed: Store) -> Store:
    return sealed


@pytest_asyncio.fixture
async def repository(store: Store) -> Repository:
    return as_system(store, await new_tenant(store))


def observation(name: str, patient: str = "p1", note: str = NOTE) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "urn:codes", "code": "weight"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "note": [{"text": note}],
    }


def organization(name: str) -> dict[str, Any]:
    return {"resourceType": "Organization", "id": name, "alias": [NOTE], "active": True}


async def searched(repository: Repository, resource_type: str, name: str, value: str) -> Page:
    with registry.using(repository.tenant.own):
        return await repository.search(plan(parse((resource_type,), [(name, value)], lenient=False, base="")))


async def documents(store: Store, repository: Repository) -> list[Document]:
    found = []
    for collection in (store.common.resources, store.common.history):
        found += await collection.find({"t": repository.tenant.name}).sort("_id").to_list()
    return found


async def test_what_is_stored_is_read_and_not_seen(store: Store, repository: Repository) -> None:
    await repository.update({"resourceType": "Patient", "id": "p1", "active": True})
    await repository.update(observation("o1"))
    await repository.update(observation("o1", note=f"{NOTE}, twice"))
    await repository.update(organization("clinic"))
    assert (await repository.current("Observation", "o1")).resource()["note"] == [{"text": f"{NOTE}, twice"}]
    assert (await repository.at("Observation", "o1", "1")).resource()["note"] == [{"text": NOTE}]
    history = await repository.history("Observation", "o1")
    assert [each.resource()["note"][0]["text"] for each in history.versions] == [f"{NOTE}, twice", NOTE]
    stored = await documents(store, repository)
    assert [each["k"] for each in stored] == ["patient/p1/1", "data/1", "patient/p1/1", "patient/p1/1"]
    assert not any(NOTE.encode() in each["body"] or "res" in each for each in stored)


async def test_transactions_bulk_searches_and_deletions(store: Store, repository: Repository) -> None:
    async def both(within: Repository) -> None:
        await within.create(observation("t1"), resource_id="t1")
        await within.create(organization("t2"), resource_id="t2")

    await repository.transaction(both)
    many = [observation(f"b{number}", f"p{number % 3}") for number in range(20)]
    assert all(put.created for put in await repository.put_many(many))
    assert not any(put.changed for put in await repository.put_many(many)), "what is the same is not written again"
    found = await searched(repository, "Observation", "code", "weight")
    assert len(found.versions) == 21
    assert all(each.resource()["note"] == [{"text": NOTE}] for each in found.versions)
    await repository.delete("Observation", "t1")
    with pytest.raises(FhirError, match="has been deleted"):
        await repository.current("Observation", "t1")
    assert (await repository.at("Observation", "t1", "1")).resource()["id"] == "t1"
    assert [each.method for each in (await repository.history("Observation", "t1")).versions] == ["DELETE", "POST"]


async def test_a_large_body_is_sealed_before_it_moves_out(store: Store, repository: Repository) -> None:
    await repository.update(observation("large", note=NOTE * 100_000))
    assert (await repository.current("Observation", "large")).resource()["note"] == [{"text": NOTE * 100_000}]
    (document,) = await documents(store, repository)
    assert document["file"]
    kept = await store.common.bodies.body(document)
    assert NOTE.encode() not in kept
    assert len(kept) > 1_000_000


async def test_answers_to_repeated_requests_are_sealed(store: Store, repository: Repository) -> None:
    answer = EntryResponse(200, NOTE.encode())

    async def kept(within: Repository) -> None:
        await within.keep_answer("key", "digest of the request", answer)

    await repository.transaction(kept)
    known = await repository.answered("key")
    assert known is not None
    assert (known.request, known.answer) == ("digest of the request", answer)
    (document,) = await store.common.idempotency.find({}).to_list()
    assert document["answer"]["body"][:2] == b"\x01\x06"
    assert "digest" not in str(document["request"])


async def test_a_search_outside_of_its_tenant_is_a_fault(repository: Repository) -> None:
    """Read without the words of the tenant it would find nothing, and say so as if it were true."""
    with pytest.raises(RuntimeError, match=r"outside of registry\.using"):
        await repository.search(plan(parse(("Patient",), [("name", "ann")], lenient=False, base="")))


async def test_criteria_of_scopes_are_decided_on_words(store: Store, repository: Repository) -> None:
    """On what is read, and on what is about to be written."""
    await repository.put_many([person("smith", "Smith"), person("jones", "Jones")])
    limited = _limited(store, repository, "user/Patient.cruds?family=smi")
    assert (await limited.current("Patient", "smith")).resource_id == "smith"
    with pytest.raises(FhirError, match="There is no Patient"):
        await limited.current("Patient", "jones")
    assert [each.resource_id for each in (await searched(limited, "Patient", "active", "true")).versions] == ["smith"]
    assert (await limited.update(person("other", "Smithson")))[1]
    for refused in (person("new", "Jones"), person("smith", "Jones")):
        with pytest.raises(FhirError, match="gives no right"):
            await limited.update(refused)
    beyond = _limited(store, repository, f"user/Patient.r?family={'a' * 30}")
    with pytest.raises(FhirError, match="gives no right"):
        await beyond.current("Patient", "smith")


def _limited(store: Store, repository: Repository, scope: str) -> Repository:
    caller = Caller(repository.tenant.name, "someone", "an-app", (Scope.parse(scope),))
    return store.repository(repository.tenant, caller)


def person(name: str, family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "active": True, "name": [{"family": family}]}


async def test_claims_say_nothing_without_the_key(store: Store, repository: Repository) -> None:
    from hashlib import sha256

    criteria = "Patient?identifier=http://hl7.org/fhir/sid/us-ssn|123-45-6789"
    await repository.transaction(lambda within: within.claim(criteria))
    (document,) = await store.common.claims.find({"_id": {"$regex": f"^{repository.tenant.name}"}}).to_list()
    assert sha256(criteria.encode()).hexdigest() not in document["_id"]


async def test_what_was_destroyed_is_gone_everywhere(store: Store, repository: Repository) -> None:
    await repository.put_many([observation("d1", "lost"), observation("d2", "kept"), organization("d3")])
    change = {"$set": {"state": DESTROYED}, "$unset": {"wrapped": ""}}
    name = repository.tenant.name
    await store.common.encryption_keys.update_one({"_id": f"{name}|patient/lost/1"}, change)
    store.vault.forget(name)
    with pytest.raises(FhirError) as refused:
        await repository.current("Observation", "d1")
    assert refused.value.status == 410
    found = await searched(repository, "Observation", "code", "weight")
    assert [each.resource_id for each in found.versions] == ["d2"]
    assert (await repository.history("Observation", "d1")).versions == ()
    with pytest.raises(FhirError, match="were destroyed"):
        await repository.create(observation("new", "lost"))


def flipped(blob: bytes, place: int) -> bytes:
    return blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]


TAMPERED: dict[str, Callable[[bytes, bytes], bytes]] = {
    "the blob of another": lambda own, other: other,
    "no blob": lambda own, other: b"",
    "plain JSON": lambda own, other: b'{"resourceType":"Observation","id":"o1"}',
    "another version of the format": lambda own, other: flipped(own, 0),
    "another key id": lambda own, other: own.replace(b"/o/1", b"/o/2"),
    "a key id of another tenant": lambda own, other: own.replace(b"patient/o/1", b"data/1"),
    "a flipped nonce": lambda own, other: flipped(own, 15),
    "a flipped first byte": lambda own, other: flipped(own, 30),
    "a flipped last byte": lambda own, other: flipped(own, len(own) - 1),
    "cut at the end": lambda own, other: own[:-1],
    "cut within the key id": lambda own, other: own[:5],
    "cut after the nonce": lambda own, other: own[:25],
    "doubled": lambda own, other: own + own,
}

READS: dict[str, Callable[[Repository], Any]] = {
    "read": lambda repo: repo.current("Observation", "o1"),
    "search": lambda repo: searched(repo, "Observation", "code", "weight"),
    "history": lambda repo: repo.history("Observation", "o1"),
    "several": lambda repo: repo.several([("Observation", "o1"), ("Observation", "o2")]),
    "bulk": lambda repo: repo.put_many([observation("o1", "o", "other")]),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("how", TAMPERED)
async def test_e02_tampering_gives_no_answer(store: Store, tampering: Repository, how: str, read: str) -> None:
    """503, and nothing of what else the answer would have held."""
    found = {"_id": f"{tampering.tenant.name}|Observation|o1"}
    other = {"_id": f"{tampering.tenant.name}|Observation|o2"}
    own, another = [(await store.common.resources.find_one(each) or {})["body"] for each in (found, other)]
    await store.common.resources.update_one(found, {"$set": {"body": TAMPERED[how](own, another)}})
    try:
        with pytest.raises(FhirError) as refused:
            await READS[read](tampering)
    finally:
        await store.common.resources.update_one(found, {"$set": {"body": own}})
    assert refused.value.status == 503
    assert [each.code for each in refused.value.issues] == ["exception"]
    assert NOTE not in str(refused.value)


@pytest_asyncio.fixture(scope="module")
async def tampering(store: Store) -> Repository:
    found = as_system(store, await new_tenant(store))
    await found.put_many([observation("o1", "o"), observation("o2", "o")])
    return found


@pytest.mark.parametrize("moved", ["tenant", "type", "id", "version", "older version"])
async def test_e02_a_blob_opens_in_its_own_place_only(store: Store, moved: str) -> None:
    one, other = [as_system(store, await new_tenant(store)) for _ in range(2)]
    repositories = {"tenant": [one, other]}.get(moved, [one, one])
    place = {"type": ("Condition", "x"), "id": ("Observation", "y")}.get(moved, ("Observation", "x"))
    await one.update(observation("x"))
    if moved.endswith("version"):
        await one.update(observation("x", note="later"))
    else:
        await repositories[1].update({**observation(place[1]), "resourceType": place[0]})
    source = store.common.history if moved == "older version" else store.common.resources
    found = await source.find_one({"t": one.tenant.name, "id": "x", "rt": "Observation"})
    assert found
    target = store.common.history if moved == "version" else store.common.resources
    into = {"t": repositories[1].tenant.name, "rt": place[0], "id": place[1]}
    assert (await target.update_one(into, {"$set": {"body": found["body"]}})).modified_count == 1
    with pytest.raises(FhirError) as refused:
        await repositories[1].history(*place)
    assert refused.value.status == 503
