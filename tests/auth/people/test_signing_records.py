"""A record is signed by a person who has signed in, by HTTP from beginning to end.  21 CFR 11.50, 11.70, 11.200"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from fhir_server.access.caller import Caller
from fhir_server.crypto.signature import key_of
from fhir_server.store.clients import Client
from fhir_server.store.users import User
from tests.auth.people.browser import HOME, Browser
from tests.auth.people.town import CALLBACK, RIGHT, VERIFIER, Town, to_consent, tokens

SCOPE = "launch/patient patient/Observation.crus"
WEIGHT = {"resourceType": "Observation", "id": "weight", "status": "final", "code": {"text": "weight"}}


class App:
    """An application in which somebody is signed in."""

    def __init__(self, town: Town, browser: Browser, token: str) -> None:
        self.town = town
        self._browser = browser
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}

    async def asks(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        url = path if path.startswith(HOME) else f"{HOME}/fhir/{self.town.tenant}/{path}"
        return await self._browser.client.request(method, url, json=body, headers={**self._headers, **headers})

    async def steps_up(self, **form: str) -> httpx.Response:
        headers = {"Authorization": self._headers["Authorization"]}
        return await self._browser.client.post("step-up", data={"purpose": "sign", **form}, headers=headers)

    async def calls(self, operation: str, version: int, **given: str) -> httpx.Response:
        kinds = {"meaning": "valueCode"}
        listed = [{"name": name, kinds.get(name, "valueString"): value} for name, value in given.items()]
        body = {"resourceType": "Parameters", "parameter": listed}
        return await self.asks("POST", f"Observation/weight/${operation}", body, **{"If-Match": f'W/"{version}"'})


async def signed_in(town: Town, browser: Browser) -> tuple[App, User]:
    await town.store.clients.add(
        Client(town.tenant, "charting", "Charting", "public", SCOPE, redirect_uris=(CALLBACK,))
    )
    await to_consent(town, browser, SCOPE, client_id="charting")
    await browser.send("consent", decision="allow", scope="patient/Observation.crus")
    given = {"client_id": "charting", "code": httpx.URL(browser.at).params["code"], "code_verifier": VERIFIER}
    token = (await tokens(town, browser, grant_type="authorization_code", **given)).json()["access_token"]
    claims = await town.app.state.provider.tokens.claims(token)
    user = await town.store.users.by_id(town.tenant, claims["sub"])
    assert user is not None
    return App(town, browser, token), user


async def test_a_person_signs_by_http(town: Town, browser: Browser) -> None:
    tenant = await town.store.tenants.latest(town.tenant)
    town_hall = town.store.repository(tenant, Caller.system(town.tenant, "tests"))
    await town_hall.update({**WEIGHT, "subject": {"reference": "Patient/p0"}})
    app, user = await signed_in(town, browser)
    word = (await app.steps_up(password=RIGHT, code=town.code(user))).json()["step_up"]
    signed = await app.calls("sign", 1, meaning="review", stepUp=word)
    assert signed.status_code == 200, signed.text
    assert signed.json()["signature"][0]["who"]["display"] == "Ann Lee"
    assert "Meaning: review" in signed.json()["text"]["div"]
    locked = await app.asks("PUT", "Observation/weight", {**WEIGHT, "subject": {"reference": "Patient/p0"}})
    assert (locked.status_code, locked.json()["issue"][0]["code"]) == (409, "business-rule")
    again = await app.calls("sign", 1, meaning="review", stepUp=word)
    assert again.status_code == 403
    one = (await app.steps_up(password=RIGHT)).json()["step_up"]
    assert (await app.calls("sign", 1, meaning="approval", stepUp=one)).status_code == 200
    published = (await app.asks("GET", f"{HOME}/auth/{town.tenant}/signature-keys")).json()["keys"]
    assert [(each["kid"], "d" in each) for each in published] == [(key_of(signed.json()), False)]
    verified = (await app.asks("GET", "Observation/weight/$verify-signature")).json()["parameter"]
    results = [part["valueCode"] for each in verified[1:] for part in each["part"] if part["name"] == "result"]
    assert (verified[0]["valueCode"], results) == ("signed", ["valid", "valid"])
    told = [(each["subtype"][-1]["code"], json.dumps(each["entity"])) async for each in events(town, user)]
    assert [code for code, _ in told].count("step-up") == 2
    place = f"Provenance/{signed.json()['id']}/_history/1"
    assert any(code == "$sign" and place in named and "Observation/weight/_history/1" in named for code, named in told)


async def events(town: Town, user: User) -> AsyncIterator[dict[str, Any]]:
    """What was recorded of somebody."""
    async for document in town.store.common.audit.find({"t": town.tenant}).sort("lu", 1):
        if user.user_id.encode() in document["body"] or b"Practitioner/1" in document["body"]:
            yield json.loads(document["body"])
