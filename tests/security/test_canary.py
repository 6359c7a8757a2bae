"""What is said about people in an encrypted tenant is nowhere to be read: documents, oplog, large files, logs.

`FHIR_TEST_CANARIES` says how many values are planted. They go through every way of writing and asking.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conformance.site import URL, Answer, Site

CANARIES = int(os.environ.get("FHIR_TEST_CANARIES", "1000"))
SSN, MRN = "http://hl7.org/fhir/sid/us-ssn", "urn:example:mrn"
LETTERS = "bcdfghjklmnpqrstvwxz"
TENANT = "vault"

Resource = dict[str, Any]


@dataclass
class Planted:
    """Values that no other test and no program holds by chance."""

    chance: random.Random = field(default_factory=lambda: random.Random(os.urandom(8)))
    values: list[str] = field(default_factory=list)

    def _kept(self, value: str) -> str:
        self.values.append(value)
        return value

    def digits(self, shape: str) -> str:
        return self._kept(re.sub("#", lambda _: str(self.chance.randrange(10)), shape))

    def word(self, length: int = 9) -> str:
        return self._kept("".join(self.chance.choices(LETTERS, k=length)).capitalize())

    def patient(self, **more: Any) -> Resource:
        return {
            "resourceType": "Patient",
            "identifier": [
                {"system": SSN, "value": self.digits("9##-##-####")},
                {"system": MRN, "value": self.digits("MRN-########")},
            ],
            "name": [{"family": self.word(), "given": [self.word()]}],
            "telecom": [{"system": "phone", "value": self.digits("(###) ###-####")}],
            "address": [{"line": [f"{self.word()} Street"], "city": self.word()}],
            "contact": [{"name": {"text": self.word()}}],
            "generalPractitioner": [{"identifier": {"system": MRN, "value": self.digits("REF-########")}}],
            "contained": [{"resourceType": "RelatedPerson", "id": "r", "patient": {"display": "x"}, **self.related()}],
            "link": [{"other": {"reference": "#r"}, "type": "seealso"}],
            **more,
        }

    def related(self) -> Resource:
        return {"name": [{"family": self.word()}], "telecom": [{"system": "email", "value": f"{self.word()}@x.org"}]}

    def observation(self, patient: str, **more: Any) -> Resource:
        return {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "urn:codes", "code": "story"}], "text": self.word()},
            "subject": {"reference": f"Patient/{patient}", "display": self.word()},
            "valueString": f"{self.word()} said so",
            "note": [{"text": f"The note of {self.word()}"}],
            **more,
        }

    def found_in(self, heap: Path) -> list[str]:
        """What of them can be read in a file, as it is, folded or in Base64."""
        forms = {form for each in self.values for form in _forms(each)}
        coded = {form for each in self.values for form in _coded(each)}
        return _grep(["-i"], forms, heap) + _grep([], coded, heap)


def _forms(value: str) -> set[str]:
    plain = value.lower()
    return {plain, re.sub(r"[^a-z0-9]", "", plain), re.sub(r"\W+", " ", plain).strip()}


def _coded(value: str) -> Iterator[str]:
    """In Base64 the same text is written in three ways; what is before and behind it decides the first and last."""
    for shift in range(3):
        written = base64.b64encode(bytes(shift) + value.encode()).decode().rstrip("=")
        yield written[(0, 2, 3)[shift] : -1]


def _grep(options: list[str], forms: set[str], heap: Path) -> list[str]:
    """A thousand values in megabytes: what `grep` was made for."""
    patterns = heap.with_suffix(".patterns")
    patterns.write_text("\n".join(sorted(forms)) + "\n")
    command = ["grep", "-a", "-o", "-F", *options, "-f", str(patterns), str(heap)]
    found = subprocess.run(command, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    assert found.returncode in (0, 1), found.stderr
    return sorted(set(found.stdout.splitlines()))


@pytest.fixture(scope="module")
async def site(mongo_url: str, database_name: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    file = tmp_path_factory.mktemp("kek") / "kek"
    _keyed(file)
    app = build(Settings(base_url=URL, mongo_url=mongo_url, database=database_name, kek=f"file:{file}"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client,
    ):
        await app.state.store.tenants.create(TENANT, settings={"references": "free"})
        yield Site(app, client)


def _keyed(file: Path) -> None:
    file.write_bytes(os.urandom(32))
    file.chmod(0o600)


@dataclass
class Speaking:
    """Everything that a client can do with what must not be read."""

    site: Site
    token: str
    planted: Planted
    answers: int = 0

    async def asked(self, request: str, *expected: int, **row: Any) -> Answer:
        answer = await self.site.by_http(TENANT, self.token, {"request": request, **row})
        assert answer.status in (expected or (200, 201)), (request.partition("?")[0], answer.status, answer.text[:300])
        self.answers += 1
        return answer

    async def round(self, number: int) -> None:
        own = f"p{number}"
        await self.asked(f"PUT Patient/{own}", body=self.planted.patient(id=own))
        changed = self.planted.patient(id=own)
        await self.asked(f"PUT Patient/{own}", body=changed)
        await self.asked("POST Observation", body=self.planted.observation(own))
        await self._searched(changed)
        await self._conditional(own)
        await self._bundled(own)
        await self._refused(own)
        await self._patched(own)
        assert len((await self.asked(f"GET Patient/{own}/_history")).body["entry"]) == 3

    async def _searched(self, patient: Resource) -> None:
        """By GET and by POST, for what is there and what is not, and in ways that are refused."""
        ssn, name = patient["identifier"][0]["value"], patient["name"][0]["family"]
        for query in (f"identifier={SSN}|{ssn}", f"identifier={ssn.replace('-', '')}", f"family={name[:5]}"):
            assert (await self.asked(f"GET Patient?{query}")).body["total" if False else "entry"]
        assert (await self.asked("POST Patient/_search", form=f"name:exact={name}")).body["entry"]
        await self.asked(f"GET Observation?subject:Patient.family={name}&_sort=date")
        await self.asked(f"GET Patient?name={self.planted.word()}&phone={self.planted.digits('##########')}")
        await self.asked(f"GET Patient?name:contains={self.planted.word()}", 400)
        await self.asked(f"GET Patient?nmae={self.planted.word()}", 400)
        await self.asked(f"GET Patient?birthdate={self.planted.word()}", 400)

    async def _conditional(self, own: str) -> None:
        created = self.planted.patient()
        criteria = f"identifier={SSN}|{created['identifier'][0]['value']}"
        headers = {"If-None-Exist": criteria}
        await self.asked("POST Patient", 201, body=created, headers=headers)
        await self.asked("POST Patient", 200, body=created, headers=headers)
        await self.asked(f"PUT Patient?{criteria}", 200, body=created)
        key = {
            "X-Idempotency-Key": f"key-{own}",
            "If-None-Exist": f"identifier={SSN}|{self.planted.digits('###-##-####')}",
        }
        again = self.planted.patient()
        for _ in range(2):
            await self.asked("POST Patient", 201, body=again, headers=key)

    async def _bundled(self, own: str) -> None:
        """At once and later, with references by criteria."""
        known = self.planted.patient()
        mrn = known["identifier"][1]["value"]
        story = self.planted.observation(own, subject={"reference": f"Patient?identifier={MRN}|{mrn}"})
        entries = [
            {
                "resource": known,
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={MRN}|{mrn}"},
            },
            {"resource": story, "request": {"method": "POST", "url": "Observation"}},
        ]
        await self.asked("POST ", body={"resourceType": "Bundle", "type": "transaction", "entry": entries[:1]})
        await self.asked("POST ", body={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        later = {"resource": self.planted.patient(), "request": {"method": "POST", "url": "Patient"}}
        read = {"request": {"method": "GET", "url": f"Patient?family={self.planted.word()}"}}
        batch = {"resourceType": "Bundle", "type": "batch", "entry": [later, read]}
        place = (await self.asked("POST ", 202, body=batch, headers={"Prefer": "respond-async"})).headers
        for _ in range(200):
            answer = await self.asked(f"GET {place['content-location']}", 200, 202)
            if answer.status == 200:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the batch was not answered")

    async def _refused(self, own: str) -> None:
        """Faults are told to who sent them, and to nobody else."""
        faulty = self.planted.patient(gender=self.planted.word(), birthDate=self.planted.word())
        await self.asked("POST Patient", 400, 422, body=faulty)
        await self.asked("POST Patient", 400, raw='{"resourceType": "Patient", "id": "' + self.planted.word())
        await self.asked("POST Patient", 400, 422, body={"resourceType": "Patient", self.planted.word(): 1})
        await self.asked(f"PUT Patient/{own}", 412, body=self.planted.patient(id=own), headers={"If-Match": 'W/"9"'})
        await self.asked("PUT Patient?family=" + self.planted.word(), 400, 422, body=faulty)

    async def _patched(self, own: str) -> None:
        patch = [{"op": "add", "path": "/name/0/given/1", "value": self.planted.word()}]
        await self.asked(f"PATCH Patient/{own}", patch=patch)
        wrong = [{"op": "test", "path": "/name/0/family", "value": self.planted.word()}]
        await self.asked(f"PATCH Patient/{own}", 409, 422, 400, patch=wrong)


async def test_e01_no_value_can_be_read_anywhere(
    site: Site,
    mongo_url: str,
    database_name: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    counted: Callable[[str, int], None],
) -> None:
    caplog.set_level("INFO")
    planted = Planted()
    speaking = Speaking(site, await site.token(TENANT), planted)
    with MongoClient[Any](mongo_url, document_class=RawBSONDocument) as client:
        since = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
        rounds = 0
        while len(planted.values) < CANARIES:
            await speaking.round(rounds)
            rounds += 1
        await _loaded(site, planted)
        site.app.state.records.flush()
        heaps = dict(_documents(client, database_name))
        heaps["oplog"] = b"".join(_oplog(client, database_name, since))
        heaps["log of mongod"] = "".join(line for line in _log(client) if database_name in line).encode()
    captured, own = capfd.readouterr(), [each for each in caplog.records if not each.name.startswith("http")]
    heaps["log"] = "\n".join([captured.out, captured.err, *(each.getMessage() for each in own)]).encode()
    heaps["control"] = json.dumps([planted.values[7], base64.b64encode(planted.values[8].encode()).decode()]).encode()
    read = {name: planted.found_in(_file(tmp_path / "heap", heap)) for name, heap in heaps.items()}
    assert len(heaps["oplog"]) > 1_000_000
    assert b'"message":"answered"' in heaps["log"]
    assert len(read.pop("control")) == 2, "what can be read is found"
    counted("canary values planted in an encrypted tenant", len(planted.values))
    counted("bytes in which they are looked for", sum(map(len, heaps.values())))
    assert {name: found for name, found in read.items() if found} == {}


def _file(path: Path, heap: bytes) -> Path:
    path.write_bytes(heap)
    return path


async def _loaded(site: Site, planted: Planted) -> None:
    """In bulk, and one that is too large for its document."""
    store = site.app.state.store
    from fhir_server.access.caller import Caller

    repository = store.repository(await store.tenants.get(TENANT), Caller.system(TENANT, "load"))
    many = [planted.patient(id=f"bulk{number}") for number in range(5)]
    large = planted.observation("bulk1", id="large", note=[{"text": f"{planted.word()} " * 150_000}])
    await repository.put_many([*many, large])
    await repository.put_many([{**each, "active": True} for each in many])
    read = await repository.current("Observation", "large")
    assert len(read.body) > 1_000_000


def _documents(client: MongoClient[Any], database: str) -> Iterator[tuple[str, bytes]]:
    found = client[database]
    for name in found.list_collection_names():
        yield name, b"".join(each.raw for each in found[name].find())


def _oplog(client: MongoClient[Any], database: str, since: Any) -> Iterator[bytes]:
    """Transactions are operations of the whole server."""
    own = {"$regex": f"^{re.escape(database)}\\."}
    found = {"ts": {"$gte": since}, "$or": [{"ns": own}, {"o.applyOps.ns": own}]}
    for each in client.local["oplog.rs"].find(found):
        yield each.raw


def _log(client: MongoClient[Any]) -> list[str]:
    return [str(line) for line in client.admin.command("getLog", "global")["log"]]
