"""Shredding a patient: gone everywhere, for everybody, in every copy; refused where the record has to stay."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.table import context, perform
from fhir_server.store import shredding
from fhir_server.store.bodies import STALE
from fhir_server.store.connection import Store, opened
from fhir_server.store.layout import BODIES
from fhir_server.store.shredding import Order, Shredding
from fhir_server.store.tenants import Tenant
from fhir_server.store.users import User
from tests.store.conftest import as_system

_NUMBERS = count(1)
CANARY = "Zebedee-Quux"
ORDER = Order("p1", "Retention has ended", ("ada", "ben"), "test")


@pytest_asyncio.fixture
async def tenant(sealed: Store, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """Two patients, one of whom has a record with a history and a large part; somebody refers to it."""
    monkeypatch.setattr(shredding, "SETTLED", 0.05)
    made = await sealed.tenants.create(f"sh{next(_NUMBERS)}")
    for name in ("ada", "ben"):
        await sealed.users.add(User(made.name, name, name.title()))
    repository = as_system(sealed, made)
    for version in ("first", "second"):
        await repository.put_many([patient("p1", version), patient("p2", version), observation("o1", "p1", version)])
    await repository.put_many([observation("o2", "p2", "x"), observation("large", "p1", "x" * 1_200_000)])
    return made


def patient(resource_id: str, given: str) -> dict[str, Any]:
    name = [{"family": CANARY, "given": [given]}]
    return {"resourceType": "Patient", "id": resource_id, "name": name, "birthDate": "1940-01-01"}


def observation(resource_id: str, subject: str, note: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": resource_id,
        "status": "final",
        "code": {"text": CANARY},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": "1999-01-01",
        "note": [{"text": note}],
    }


async def ask(store: Store, tenant: Tenant, url: str) -> EntryResponse:
    base = f"http://fhir.example.org/fhir/{tenant.name}"
    repository = store.repository(tenant, Caller.system(tenant.name, "test"))
    return await perform(context(repository, base=base, cursor_key=b"k" * 32), EntryRequest("GET", url))


async def status(store: Store, tenant: Tenant, url: str) -> int:
    try:
        return (await ask(store, tenant, url)).status
    except FhirError as problem:
        return problem.status


async def listed(store: Store, tenant: Tenant, url: str) -> set[str]:
    """The resources that an answer shows, or names as found."""
    answer = await ask(store, tenant, url)
    bundle = json.trusted(answer.body or b"")
    shown = [each["resource"] for each in bundle.get("entry", []) if "resource" in each]
    return {f"{each['resourceType']}/{each['id']}" for each in shown}


async def copied(store: Store, tenant: Tenant) -> list[tuple[Any, list[dict[str, Any]]]]:
    """As a dump has it."""
    mine = {"t": tenant.name}
    return [(each, await each.find(mine).to_list()) for each in (store.common.resources, store.common.history)]


RECORD = {"Patient/p1", "Observation/o1", "Observation/large"}
GONE = ("Patient/p1", "Observation/o1", "Observation/large", "Patient/p1/$everything")
EARLIER = ("Patient/p1/_history/1", "Patient/p1/_history/2", "Observation/o1/_history/1", "Observation/o1/_history/2")
LISTING = (
    "Patient/p1/_history",
    "Patient/_history",
    "_history",
    f"Patient?family={CANARY}",
    "Observation?subject=Patient/p1",
    "Observation?_include=Observation:subject",
    "Patient?_revinclude=Observation:subject",
    f"Observation?subject:Patient.family={CANARY}",
    "Patient?_has:Observation:subject:date=1999-01-01",
)


@pytest.mark.parametrize("restored", [False, True], ids=["in the store", "in a dump that is restored"])
async def test_e07_nothing_is_left_to_read(sealed: Store, tenant: Tenant, restored: bool) -> None:
    dump = await copied(sealed, tenant)
    certificate = await Shredding(sealed, tenant).shred(ORDER)
    said = certificate.content
    assert (said["patient"], said["current"], said["superseded"]) == ("Patient/p1", 3, 2)
    assert len(set(said["approvedBy"])) == 2
    assert await sealed.certificates.fault(certificate) is None
    if restored:
        for collection, documents in dump:
            await collection.delete_many({"t": tenant.name})
            await collection.insert_many(documents)
    for url in (*GONE, *EARLIER):
        assert await status(sealed, tenant, url) == 410, url
    for url in LISTING:
        assert not await listed(sealed, tenant, url) & RECORD, url
    assert (await ask(sealed, tenant, "Patient/p2")).status == 200
    assert (await ask(sealed, tenant, "Patient/p2/_history/1")).status == 200


async def test_another_process_that_has_the_key_open_shows_nothing_either(
    sealed: Store, tenant: Tenant, mongo_url: str
) -> None:
    async with opened(mongo_url=mongo_url, database=sealed.common.name) as other:
        other.vault.kek = sealed.vault.kek
        for url in ("Patient/p1", "Patient/p1/_history/1"):
            assert await status(other, tenant, url) == 200
        await Shredding(sealed, tenant).shred(ORDER)
        for url in (*GONE, *EARLIER):
            assert await status(other, tenant, url) == 410
        for url in LISTING:
            assert not await listed(other, tenant, url) & RECORD, url


async def test_no_byte_and_no_index_entry_stays(sealed: Store, tenant: Tenant) -> None:
    await Shredding(sealed, tenant).shred(ORDER)
    for collection in (sealed.common.resources, sealed.common.history):
        left = await collection.find({"t": tenant.name, "cmp": "Patient/p1"}).to_list()
        assert left
        assert all(each["del"] and not each["body"] and not each["tok"] and not each["str"] for each in left)
    files = sealed.common.resources.database[f"{BODIES}.files"]
    mine = {"_id": {"$regex": f"^{tenant.name}[|]"}}
    assert await files.count_documents({**mine, STALE: {"$exists": True}}) == await files.count_documents(mine) == 1
    key = await sealed.common.encryption_keys.find_one({"_id": f"{tenant.name}|patient/p1/1"})
    assert key is not None
    assert (key["state"], "wrapped" in key) == ("destroyed", False)


async def test_what_the_patient_forbade_goes_too(sealed: Store, tenant: Tenant) -> None:
    consent = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"code": "INFA"}]}],
        "patient": {"reference": "Patient/p1"},
        "policyRule": {"coding": [{"code": "OPTOUT"}]},
        "provision": {"type": "deny"},
    }
    await as_system(sealed, tenant).update(consent)
    rule = {"_id": f"{tenant.name}|rule|c1"}
    kept = await sealed.common.consents.find_one(rule)
    assert kept is not None
    assert kept["body"]
    await Shredding(sealed, tenant).shred(ORDER)
    left = await sealed.common.consents.find_one(rule)
    assert left is None or left["body"] is None


async def test_nothing_more_is_kept_of_the_patient(sealed: Store, tenant: Tenant) -> None:
    await Shredding(sealed, tenant).shred(ORDER)
    assert await sealed.key_versions(tenant).gone() == {"p1"}
    for resource in (patient("p1", "again"), observation("o9", "p1", "again")):
        with pytest.raises(FhirError) as refused:
            await as_system(sealed, tenant).update(resource)
        assert refused.value.status == 410


async def test_a_hold_and_the_end_of_retention_stand_in_the_way(sealed: Store, tenant: Tenant) -> None:
    await as_system(sealed, tenant).update({**patient("p2", "x"), "birthDate": "2024-01-01"})
    with pytest.raises(FhirError, match="is to be kept") as refused:
        await Shredding(sealed, tenant).shred(Order("p2", "", ("ada", "ben"), "test"))
    assert refused.value.status == 409
    await sealed.holds.place(tenant, "Patient/p1", "A case", "ada")
    with pytest.raises(FhirError, match="legal hold"):
        await Shredding(sealed, tenant).shred(ORDER)
    assert (await ask(sealed, tenant, "Patient/p1")).status == 200


@pytest.mark.parametrize("names", [("ada",), ("ada", "ada"), ("ada", " ADA "), ("ada", "nobody"), ()])
async def test_two_people_have_to_approve(sealed: Store, tenant: Tenant, names: tuple[str, ...]) -> None:
    with pytest.raises(FhirError, match="approve"):
        await Shredding(sealed, tenant).shred(Order("p1", "", names, "test"))
    assert (await ask(sealed, tenant, "Patient/p1")).status == 200


async def test_who_is_not_there_is_not_destroyed(sealed: Store, tenant: Tenant) -> None:
    with pytest.raises(FhirError) as refused:
        await Shredding(sealed, tenant).shred(Order("p9", "", ("ada", "ben"), "test"))
    assert refused.value.status == 404


async def test_one_that_was_interrupted_is_finished_with_the_same_certificate(
    sealed: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(Shredding, "_tidied", killed)
        with pytest.raises(RuntimeError):
            await Shredding(sealed, tenant).shred(ORDER)
    await sealed.holds.place(tenant, "Patient/p1", "Too late", "ada")
    assert await status(sealed, tenant, "Patient/p1") == 410
    first = await Shredding(sealed, tenant).shred(ORDER)
    assert (first.content["current"], first.content["superseded"]) == (3, 2)
    assert (await Shredding(sealed, tenant).shred(ORDER)).signed == first.signed


async def test_it_is_recorded(sealed: Store, tenant: Tenant) -> None:
    await Shredding(sealed, tenant).shred(ORDER)
    await sealed.journal.settled()
    found = await as_system(sealed, tenant).at("Patient", "p2", "1")
    assert found.version_id == 1
    events = await sealed.common.audit.find({"t": tenant.name, "cmp": "Patient/p1"}).to_list()
    assert [b"shredded" in each["body"] for each in events].count(True) == 1
    assert not any(CANARY.encode() in each["body"] for each in events)


async def test_who_writes_meanwhile_leaves_nothing_behind(
    sealed: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shredding, "SETTLED", 0.5)
    stopped = asyncio.Event()

    refused: set[int] = set()

    async def writer(number: int) -> None:
        while not stopped.is_set():
            try:
                await as_system(sealed, tenant).update(observation(f"w{number}", "p1", "x"))
            except FhirError as problem:
                refused.add(problem.status)
            await asyncio.sleep(0)

    writers = [asyncio.create_task(writer(number)) for number in range(4)]
    await asyncio.sleep(0.2)
    await Shredding(sealed, tenant).shred(ORDER)
    stopped.set()
    await asyncio.gather(*writers)
    assert 410 in refused
    assert refused <= {409, 410}
    left = await sealed.common.resources.count_documents({"t": tenant.name, "cmp": "Patient/p1", "del": False})
    assert left == 0
