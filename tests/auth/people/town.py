"""The application with people in it, and a way through its pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import time
from typing import Any
from uuid import uuid4

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from fhir_server.access.caller import Caller
from fhir_server.app import build
from fhir_server.auth import totp
from fhir_server.auth.authorization import Pending
from fhir_server.auth.passwords import Passwords
from fhir_server.auth.people import People
from fhir_server.auth.person import Person
from fhir_server.auth.sessions import Visit
from fhir_server.settings import Settings
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store
from fhir_server.store.users import User
from tests.auth.people.browser import HOME, Browser

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
RIGHT = "velvet anchor nine"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CALLBACK = "https://app.example/callback"
SCOPES = "openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.rs patient/Condition.rs"


@dataclass
class Town:
    """The application with a tenant, two patients and an app; people move in."""

    app: FastAPI
    tenant: str
    used: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    """Of the devices that people have."""

    @property
    def store(self) -> Store:
        found: Store = self.app.state.store
        return found

    def browser(self) -> Browser:
        return Browser(httpx.ASGITransport(self.app, raise_app_exceptions=False), self.tenant)

    async def person(self, *, device: bool = True, **more: Any) -> User:
        given = {"roles": ("physician",), "fhir_user": "Practitioner/1", **more}
        kept = await self.app.state.people._passwords.hashed(RIGHT)
        user = User(self.tenant, f"u{uuid4().hex[:8]}", "Ann Lee", password=kept, **given)
        if device:
            await self.store.users.add(user)
            secret = self.secrets[user.user_id] = totp.new_secret()
            kept = await self.store.users.sealed(user, secret)
            await self.store.users.change(self.tenant, user.username, secret=kept)
            return await self.store.users.existing(self.tenant, user.username)
        return await self.store.users.add(user)

    async def asks(self, scope: str = SCOPES, **more: str) -> Pending:
        given = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": "st",
            "aud": f"{HOME}/fhir/{self.tenant}",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
        found: Pending = await self.app.state.provider.authorizations.begin(
            self.tenant, list({**given, **more}.items())
        )
        return found

    def code(self, user: User) -> str:
        """A code that has not been used: of the step before, then of this and of the next."""
        step = max(int(time()) // totp.STEP - 1, self.used.get(user.user_id, -1) + 1)
        self.used[user.user_id] = step
        return totp.code(self.secrets[user.user_id], step)

    async def signs_in(self, browser: Browser, user: User, authorization: str = "") -> httpx.Response:
        await browser.open(f"sign-in?request={authorization}" if authorization else "sign-in")
        await browser.send("sign-in", username=user.username, password=RIGHT)
        return await browser.send("second-factor", code=self.code(user)) if user.secret else browser.response


@asynccontextmanager
async def settled(settings: Settings) -> AsyncIterator[Town]:
    app = build(settings)
    async with app.router.lifespan_context(app):
        store: Store = app.state.store
        hashing = Passwords(CHEAP)
        app.state.people = People(store, hashing)
        tenant = await store.tenants.create("riverside", title="Riverside Practice")
        repository = store.repository(tenant, Caller.system(tenant.name, "tests"))
        for number, family in enumerate(("Lee", "Leeds", "Berg")):
            name = [{"given": ["Ann"], "family": family}]
            await repository.update({"resourceType": "Patient", "id": f"p{number}", "name": name})
        ambulatory = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        visit = {"resourceType": "Encounter", "id": "e0", "status": "finished", "class": ambulatory}
        await repository.update({**visit, "subject": {"reference": "Patient/p0"}})
        scopes = f"{SCOPES} launch/encounter online_access user/*.rs"
        await store.clients.add(
            Client("riverside", "app", "<b>An App</b>", "public", scopes, redirect_uris=(CALLBACK,))
        )
        yield Town(app, "riverside")
        hashing.close()


def check(response: httpx.Response) -> None:
    """What holds for every answer."""
    assert response.status_code not in (301, 302, 307, 308)
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "no-store" in response.headers["cache-control"] or response.headers["content-type"].startswith("text/css")
    for cookie in response.headers.get_list("set-cookie"):
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
    if response.headers.get("content-type", "").startswith("text/html"):
        _check_page(response)


def _check_page(response: httpx.Response) -> None:
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-")
    assert response.headers["x-frame-options"] == "DENY"
    assert not re.search(r"<script|<b>|javascript:| on\w+=| style=", response.text)


async def to_consent(town: Town, browser: Browser, scope: str = SCOPES, **more: str) -> Pending:
    pending = await town.asks(scope, **more)
    await town.signs_in(browser, await town.person(), pending.id)
    await browser.send("patient", name="lee")
    await browser.send("patient", patient="p0")
    return pending


def scopes_given(town: Town) -> Callable[[], Any]:
    async def latest() -> list[str]:
        found = await town.store.common.grants.find({}).sort("_id").to_list()
        return list(max(found, key=lambda each: each["grant_id"])["scopes"])

    return latest


async def tokens(town: Town, browser: Browser, **form: str) -> httpx.Response:
    given = {"client_id": "app", "redirect_uri": CALLBACK, "grant_type": "refresh_token", **form}
    return await browser.client.post("token", data=given)


async def exchanged(town: Town, browser: Browser) -> dict[str, Any]:
    """The code at which the browser has arrived, for tokens."""
    code = httpx.URL(browser.at).params["code"]
    found = await tokens(town, browser, grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    answer: dict[str, Any] = found.json()
    assert found.status_code == 200, answer
    return answer


async def status(browser: Browser, path: str, answer: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    return (await browser.client.get(f"{HOME}/fhir/riverside/{path}", headers=headers)).status_code


async def as_person(town: Town, user: User) -> Person:
    session, _ = await town.store.sessions.begin(user, ("pwd", "otp"), timedelta(1), None, user.created)
    tenant = await town.store.tenants.latest(town.tenant)
    found = Visit(tenant, "", False, "", None, session, user).person
    assert found is not None
    return found
