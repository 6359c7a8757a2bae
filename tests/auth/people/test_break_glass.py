"""Breaking the glass: one record, for a while, with a reason, and looked into.  45 CFR 164.312(a)(2)(ii)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from fhir_server.access import break_glass
from fhir_server.access.caller import BREAK_GLASS, Caller
from fhir_server.access.clearance import Clearance
from fhir_server.auth.break_glass import PURPOSE
from fhir_server.auth.tokens import issue
from fhir_server.store.users import User
from tests.auth.people.browser import HOME
from tests.auth.people.town import RIGHT, Town

LEVEL, ACT = (f"http://terminology.hl7.org/CodeSystem/v3-{each}" for each in ("Confidentiality", "ActCode"))
DENIES = {
    "resourceType": "Consent",
    "id": "c0",
    "status": "active",
    "scope": {"coding": [{"code": "patient-privacy"}]},
    "category": [{"text": "x"}],
    "patient": {"reference": "Patient/p0"},
    "policyRule": {"text": "x"},
    "provision": {"type": "deny"},
}


def observation(name: str, patient: str, *labels: tuple[str, str]) -> dict[str, Any]:
    meta = {"meta": {"security": [{"system": system, "code": code} for system, code in labels]}} if labels else {}
    about = {"resourceType": "Observation", "id": name, "status": "final", "code": {"text": "x"}}
    return {**about, **meta, "subject": {"reference": f"Patient/{patient}"}}


class Emergency:
    """A person of the practice, and what they may open."""

    def __init__(self, town: Town, user: User) -> None:
        self.town, self.user, self.session = town, user, uuid4().hex

    async def token(self, **more: Any) -> str:
        key = await self.town.app.state.keyring.signing(self.user.tenant)
        person = {"roles": list(self.user.roles), "fhirUser": self.user.fhir_user}
        about = {"tenant": self.user.tenant, "subject": self.user.user_id, "client_id": "app", "scope": "user/*.cruds"}
        return issue(key, base_url="", **{**about, "person": person, "more": {"sid": self.session}, **more})

    async def steps_up(self) -> str:
        answer = await self.posts("step-up", purpose="break-glass", password=RIGHT, code=self.town.code(self.user))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["step_up"])

    async def word(self) -> str:
        """As the endpoint gives out: a person has no more than a few codes at a time."""
        return await self.town.store.step_ups.new(self.user, self.session, "break-glass", ("pwd", "otp"))

    async def posts(self, name: str, token: str | None = None, **form: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or await self.token()}"}
        async with self.town.browser().client as client:
            return await client.post(name, data=form, headers=headers)

    async def breaks(self, **form: str) -> httpx.Response:
        given = {"patient": "p0", "reason": "unconscious", **form}
        return await self.posts("break-glass", **{"step_up": form.get("step_up") or await self.word(), **given})

    async def asks(self, token: str, request: str, body: Any = None) -> httpx.Response:
        method, _, url = request.partition(" ")
        kind = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        async with self.town.browser().client as client:
            return await client.request(method, f"{HOME}/fhir/riverside/{url}", headers=headers, json=body)

    async def status(self, token: str, request: str, body: Any = None) -> int:
        return (await self.asks(token, request, body)).status_code

    async def recorded(self, token: str | None = None) -> list[dict[str, Any]]:
        """The AuditEvents with the purpose of breaking the glass, the newest first."""
        officer = await self.token(person={"roles": ["privacy-officer"]})
        found = (await self.asks(officer, "GET AuditEvent?_count=500&_sort=-date")).json()
        events = [each["resource"] for each in found.get("entry", ())]
        return [each for each in events if PURPOSE.code in str(each.get("purposeOfEvent"))]


@pytest_asyncio.fixture(scope="module")
async def emergency(town: Town) -> Emergency:
    repository = town.store.repository(await town.store.tenants.latest("riverside"), Caller.system("riverside", "t"))
    await repository.put_many(
        [
            observation("o0", "p0"),
            observation("oV", "p0", (LEVEL, "V"), (ACT, "HIV")),
            observation("oSUD", "p0", (LEVEL, "R"), (ACT, "SUD")),
            observation("oNotes", "p0", (ACT, "PSYTHPN")),
            observation("o1", "p1", (LEVEL, "V")),
            {"resourceType": "Practitioner", "id": "1"},
            DENIES,
        ]
    )
    return Emergency(town, await town.person())


@pytest_asyncio.fixture(scope="module")
async def opened(emergency: Emergency) -> dict[str, Any]:
    assert await emergency.status(await emergency.token(), "GET Observation/o0") == 404
    answer = await emergency.breaks(step_up=await emergency.steps_up())
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_token_is_short_and_cannot_be_renewed(opened: dict[str, Any]) -> None:
    assert opened.keys() == {"access_token", "token_type", "expires_in", "scope", "patient"}
    assert (opened["expires_in"], opened["scope"], opened["patient"]) == (3600, "patient/*.rs", "p0")


OPENED = {
    "GET Patient/p0": 200,
    "GET Observation/o0": 200,
    "GET Observation/oV": 200,
    "GET Observation/oSUD": 404,
    "GET Observation/oNotes": 404,
    "GET Patient/p0/$everything": 200,
    "GET Practitioner/1": 200,
    "GET Observation/o1": 404,
    "GET Patient/p1": 403,
    "GET Patient/nobody": 403,
    "GET Patient/p1/Observation": 403,
    "GET Patient/p1/$everything": 403,
    "GET Patient/p1/_history": 403,
    "DELETE Observation/o0": 403,
    "GET Group": 200,
}


@pytest.mark.parametrize(("request_line", "expected"), OPENED.items())
async def test_i87_one_record_is_opened_to_read(
    emergency: Emergency, opened: dict[str, Any], request_line: str, expected: int
) -> None:
    assert await emergency.status(opened["access_token"], request_line) == expected


async def test_i87_another_patient_is_not_brought_along(emergency: Emergency, opened: dict[str, Any]) -> None:
    token = opened["access_token"]
    for query in ("Patient?_id=p0,p1", "Patient?_id=p0&_revinclude=*", "Observation?_include=*&_include:iterate=*"):
        found = await emergency.asks(token, f"GET {query}")
        assert found.status_code == 200
        assert "p1" not in [each["resource"]["id"] for each in found.json()["entry"]]
    assert await emergency.status(token, "POST Observation", observation("x", "p0")) == 403
    assert "oSUD" not in (await emergency.asks(token, "GET Observation")).text


async def test_i87_a_batch_opens_no_more(emergency: Emergency, opened: dict[str, Any]) -> None:
    urls = ["Patient/p1", "Observation/o0", "Observation/o1", "Patient/p1/Observation"]
    entries = [{"request": {"method": "GET", "url": each}} for each in urls]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = (await emergency.asks(opened["access_token"], "POST ", bundle)).json()
    assert [each["response"]["status"][:3] for each in answer["entry"]] == ["403", "200", "404", "403"]


async def test_i87_nothing_is_opened_without_what_makes_it_accountable(emergency: Emergency) -> None:
    word = await emergency.word()
    wrong: list[dict[str, str]] = [
        {"reason": ""},
        {"reason": "x" * 1001},
        {"patient": ""},
        {"patient": "p0,p1"},
        {"minutes": "61"},
        {"minutes": "0"},
        {"minutes": "many"},
        {"step_up": ""},
        {"step_up": "another"},
    ]
    for form in wrong:
        answer = await emergency.breaks(**{"step_up": word, **form})
        assert (answer.status_code, answer.json()["error"]) == (403, "access_denied"), form
    assert (await emergency.breaks(step_up=word, patient="nobody")).status_code == 403
    assert (await emergency.breaks(step_up=word)).status_code == 403, "the word has been used"


async def test_i87_a_word_is_good_once(emergency: Emergency) -> None:
    word = await emergency.word()
    assert (await emergency.breaks(step_up=word, minutes="5")).json()["expires_in"] == 300
    assert (await emergency.breaks(step_up=word)).status_code == 403


async def test_who_may_not_may_not(town: Town, emergency: Emergency, opened: dict[str, Any]) -> None:
    for roles in (("front-desk",), ("patient",), ("administrator",), ()):
        answer = await Emergency(town, await town.person(roles=roles)).posts("break-glass", patient="p0", reason="x")
        assert answer.status_code == 403, roles
    form = {"patient": "p1", "reason": "x", "step_up": "x"}
    again = await emergency.posts("break-glass", opened["access_token"], **form)
    assert again.status_code == 403
    assert (await emergency.posts("break-glass", "nothing", **form)).status_code == 401


async def test_i87_after_its_time_it_opens_nothing(emergency: Emergency, opened: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    more = {"purpose": BREAK_GLASS, "until": int((now - timedelta(seconds=1)).timestamp()), "clearance": ["V"]}
    late = await emergency.token(scope="patient/*.rs", patient="p0", more={**more, "sid": emergency.session})
    for request in ("GET Observation/o0", "GET Observation", "GET Patient/p0/$everything", "GET Patient/p0"):
        answer = await emergency.asks(late, request)
        assert (answer.status_code, answer.json()["issue"][0]["diagnostics"]) == (403, break_glass.OVER)


async def test_each_event_says_so(emergency: Emergency, opened: dict[str, Any]) -> None:
    assert await emergency.status(opened["access_token"], "GET Observation/oV") == 200
    assert await emergency.status(opened["access_token"], "GET Patient/p1") == 403
    assert (await emergency.breaks(reason="")).status_code == 403
    refused, denied, shown = (await emergency.recorded())[:3]
    assert [each["outcome"] for each in (refused, denied, shown)] == ["8", "8", "0"]
    assert "Patient/p0" in str(shown["entity"])
    assert "Patient/p0" in str(denied["entity"])


async def test_privacy_officers_are_told_and_alone_may_close_it(emergency: Emergency, opened: dict[str, Any]) -> None:
    officer = await emergency.token(person={"roles": ["privacy-officer"]})
    found = (await emergency.asks(officer, "GET Task?status=requested&_count=100")).json()
    task = next(e["resource"] for e in found["entry"] if e["resource"]["for"]["reference"] == "Patient/p0")
    assert task["description"] == "unconscious"
    assert task["requester"] == {"reference": "Practitioner/1"}
    mine = await emergency.token()
    assert await emergency.status(mine, f"GET Task/{task['id']}") == 404
    closing = [{"op": "replace", "path": "/status", "value": "completed"}]
    assert await emergency.status(mine, f"PATCH Task/{task['id']}", closing) == 404
    assert await emergency.status(officer, f"PATCH Task/{task['id']}", closing) == 200


async def test_a_tenant_opens_more_or_nothing(town: Town, emergency: Emergency) -> None:
    await town.store.tenants.configure("riverside", {"break_glass": "part-2"})
    token = (await emergency.breaks()).json()["access_token"]
    assert await emergency.status(token, "GET Observation/oSUD") == 200
    assert await emergency.status(token, "GET Observation/oNotes") == 404
    await town.store.tenants.configure("riverside", {"break_glass": "off"})
    assert (await emergency.breaks()).status_code == 403
    await town.store.tenants.configure("riverside", {"break_glass": "standard"})


def test_no_policy_opens_more_than_it_says() -> None:
    assert break_glass.opened("standard").sensitivities.isdisjoint({"SUD", "ETH", "ETHUD", "OPIOIDUD", "PSYTHPN"})
    for policy in break_glass.table()["policies"]:
        assert not break_glass.opened(policy).lowers
        assert Clearance.parse(str(break_glass.opened(policy)).split()) == break_glass.opened(policy)
