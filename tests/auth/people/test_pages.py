"""The pages as a person without scripts sees them, from the application and back to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from fhir_server.access.caller import Caller
from fhir_server.app import build
from fhir_server.auth import totp
from fhir_server.auth.authorization import Pending
from fhir_server.auth.pages.page import stylesheet
from fhir_server.auth.passwords import Passwords
from fhir_server.auth.people import People
from fhir_server.settings import Settings
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store
from fhir_server.store.users import User
from tests.auth.people.browser import HOME, Browser
from tests.auth.people.conftest import CHEAP, RIGHT

CALLBACK = "https://app.example/callback"
SCOPES = "openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.rs patient/Condition.rs"
LABORATORY = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


@dataclass
class Town:
    """The application with a tenant, two patients and an app; people move in."""

    app: FastAPI
    tenant: str
    used: dict[str, int] = field(default_factory=dict)

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
            await self.store.users.change(self.tenant, user.username, secret=totp.new_secret())
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
        assert user.secret is not None
        step = max(int(time()) // totp.STEP - 1, self.used.get(user.user_id, -1) + 1)
        self.used[user.user_id] = step
        return totp.code(user.secret, step)

    async def signs_in(self, browser: Browser, user: User, authorization: str = "") -> httpx.Response:
        await browser.open(f"sign-in?request={authorization}" if authorization else "sign-in")
        await browser.send("sign-in", username=user.username, password=RIGHT)
        return await browser.send("second-factor", code=self.code(user)) if user.secret else browser.response


@pytest_asyncio.fixture(scope="module")
async def town(mongo_url: str, database_name: str) -> AsyncIterator[Town]:
    app = build(Settings(mongo_url=mongo_url, database=database_name))
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
        scopes = f"{SCOPES} launch/encounter user/*.rs"
        await store.clients.add(
            Client("riverside", "app", "<b>An App</b>", "public", scopes, redirect_uris=(CALLBACK,))
        )
        yield Town(app, "riverside")
        hashing.close()


@pytest_asyncio.fixture
async def browser(town: Town) -> AsyncIterator[Browser]:
    found = town.browser()
    yield found
    await found.close()
    for each in found.seen:
        check(each)


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


async def test_a_person_chooses_a_patient_and_consents(town: Town, browser: Browser) -> None:
    pending = await to_consent(town, browser)
    assert browser.title == "Allow &lt;b&gt;An App&lt;/b&gt;? – Riverside Practice"
    assert "Ann Lee" in browser.page.words
    assert "It can go on without you." in browser.page.words
    ticked = browser.page.offered
    assert set(ticked) == set(pending.scopes) - {"launch/patient"}
    assert f"form-action 'self' {CALLBACK.rpartition('/')[0]}" in browser.response.headers["content-security-policy"]
    await browser.send("consent", decision="allow", scope=ticked)
    assert re.match(rf"{CALLBACK}\?code=[\w-]+&state=st&iss=", browser.at)
    assert sorted(await scopes_given(town)()) == sorted(SCOPES.split())


async def test_a_person_gives_less_than_is_asked_for(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    part = f"patient/Observation.rs?{LABORATORY}"
    await browser.send("consent", decision="allow", scope=["patient/Patient.rs", part, "system/*.cruds", "user/*.rs"])
    assert "code=" in browser.at
    assert await scopes_given(town)() == ["launch/patient", "patient/Patient.rs", part]


async def test_a_person_gives_nothing_or_refuses(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    form = browser.page.form("consent")
    response = await browser.post("consent", **form, decision="allow")
    assert response.status_code == 400
    assert "Choose at least one" in browser.page.words
    assert browser.page.offered == []
    await browser.send("consent", decision="refuse")
    assert browser.at.startswith(f"{CALLBACK}?error=access_denied")
    assert (await browser.post("consent", **form, decision="allow")).status_code == 400


async def test_a_visit_is_chosen(town: Town, browser: Browser) -> None:
    await to_consent(town, browser, f"{SCOPES} launch/encounter")
    assert browser.title.startswith("Choose a visit")
    assert (await browser.send("encounter", encounter="e9")).status_code == 400
    await browser.send("encounter", encounter="e0")
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    found = await town.store.common.grants.find_one({"encounter": "e0"})
    assert found is not None


async def test_o24_no_consent_without_a_patient(town: Town, browser: Browser) -> None:
    pending = await town.asks()
    await town.signs_in(browser, await town.person(), pending.id)
    await browser.open(f"consent?request={pending.id}")
    assert browser.title.startswith("Choose a patient")
    token = browser.page.form("consent")
    await browser.post("consent", **token, decision="allow", scope="patient/Patient.rs")
    assert browser.title.startswith("Choose a patient")


@pytest.mark.parametrize(
    ("who", "listed", "own", "foreign"),
    [
        ({"roles": ("patient",), "patients": ("p2",)}, ["p2"], "p2", "p0"),
        ({"roles": ("physician",), "patients": ("p0", "p1")}, ["p0", "p1"], "p1", "p2"),
        ({"roles": ("physician",)}, [], "p2", "p9"),
    ],
    ids=["a patient", "a physician of some", "a physician of all"],
)
async def test_o25_only_patients_whom_the_person_may_see(
    town: Town, browser: Browser, who: dict[str, Any], listed: list[str], own: str, foreign: str
) -> None:
    pending = await town.asks()
    await town.signs_in(browser, await town.person(**who), pending.id)
    assert sorted(each["value"] for each in browser.page.all("button") if each.get("name") == "patient") == listed
    assert (await browser.send("patient", patient=foreign)).status_code == 400
    await browser.send("patient", patient=own)
    assert browser.title.startswith("Allow")


async def test_o25_who_may_see_no_patient_chooses_none(town: Town, browser: Browser) -> None:
    pending = await town.asks()
    response = await town.signs_in(browser, await town.person(roles=()), pending.id)
    assert response.status_code == 403
    assert "may not see patients" in browser.page.words


async def test_searching_badly_is_explained(town: Town, browser: Browser) -> None:
    pending = await town.asks()
    await town.signs_in(browser, await town.person(), pending.id)
    assert (await browser.send("patient", birthdate="banana")).status_code == 400
    assert "cannot be searched" in browser.page.words
    await browser.send("patient", name="zzz")
    assert "Nobody was found" in browser.page.words


FORMS = (
    "sign-in",
    "second-factor",
    "sign-out",
    "enrol",
    "password",
    "recovery-codes",
    "patient",
    "encounter",
    "consent",
)


@pytest.mark.parametrize("action", [*FORMS, "take-back"])
async def test_o46_a_form_that_is_not_ours_does_nothing(town: Town, browser: Browser, action: str) -> None:
    pending = await to_consent(town, browser)
    good = {**browser.page.form("consent"), "decision": "allow", "scope": "patient/Patient.rs"}
    assert (await browser.post(action, request=pending.id)).status_code == 403
    assert (await browser.post(action, **{**good, "token": "x" * 43})).status_code == 403
    other = town.browser()
    await other.open("sign-in")
    assert (await browser.post(action, **{**good, "token": other.page.form("sign-in")["token"]})).status_code == 403
    for site in ("cross-site", "same-site"):
        browser.client.headers["Sec-Fetch-Site"] = site
        assert (await browser.post(action, **good)).status_code == 403
    del browser.client.headers["Sec-Fetch-Site"]
    browser.client.headers["Content-Type"] = "text/plain"
    response = await browser.client.post(action, content="token=x", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    await other.close()


async def test_o46_a_token_from_before_signing_in_is_stale(town: Town, browser: Browser) -> None:
    user = await town.person()
    await browser.open("sign-in")
    stale = browser.page.form("sign-in")
    await town.signs_in(browser, user)
    assert (await browser.post("sign-out", **stale)).status_code == 403
    assert (await browser.open("account")).status_code == 200


async def test_o46_too_much_is_not_read(town: Town, browser: Browser) -> None:
    assert (await browser.post("sign-in", token="x" * 70_000)).status_code == 413
    response = await browser.client.post(
        "sign-in", content="%ff=%ff", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert response.status_code == 400


async def test_o47_pages_cannot_be_framed_and_run_nothing(town: Town, browser: Browser) -> None:
    """Each answer of each test is looked at when its browser is closed; here are those of a whole way."""
    await to_consent(town, browser)
    assert len([each for each in browser.seen if each.headers.get("content-type", "").startswith("text/html")]) >= 4


async def test_o48_a_new_session_at_every_step(town: Town, browser: Browser) -> None:
    user = await town.person()
    name = "session-riverside"
    await browser.open("sign-in")
    cookies = [browser.client.cookies[name]]
    browser.client.cookies.set(name, "chosen-by-somebody-else", domain="127.0.0.1", path="/")
    browser.client.cookies.clear()
    await browser.open("sign-in")
    cookies.append(browser.client.cookies[name])
    await browser.send("sign-in", username=user.username, password=RIGHT)
    cookies.append(browser.client.cookies[name])
    await browser.send("second-factor", code=town.code(user))
    cookies.append(browser.client.cookies[name])
    assert len(set(cookies)) == 4
    for old in cookies[:-1]:
        stranger = town.browser()
        stranger.client.cookies.set(name, old)
        await stranger.open("account")
        assert stranger.title.startswith("Sign in")
        await stranger.close()


async def test_o48_cookies_over_https_are_of_this_host_only(town: Town, mongo_url: str, database_name: str) -> None:
    app = build(Settings(mongo_url=mongo_url, database=database_name, base_url="https://fhir.example"))
    async with app.router.lifespan_context(app):
        secure = Browser(httpx.ASGITransport(app), "riverside")
        response = await secure.open("sign-in")
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-session-riverside=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= {each.strip() for each in cookie.split(";")}
        await secure.close()
    app = build(Settings(mongo_url=mongo_url, database=database_name, base_url="http://fhir.example"))
    async with app.router.lifespan_context(app):
        open_ = Browser(httpx.ASGITransport(app), "riverside")
        assert (await open_.open("sign-in")).status_code == 403
        assert "https" in open_.page.words
        await open_.close()


async def test_o49_a_form_that_succeeds_is_answered_by_303(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    posted = [each.status_code for each in browser.seen if each.request.method == "POST"]
    assert posted == [303, 303, 200, 303, 303]


async def test_o50_consent_is_asked_for_every_time(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    again = await town.asks("launch/patient patient/Patient.rs")
    await browser.open(f"sign-in?request={again.id}")
    await browser.send("patient", patient="p0")
    assert browser.title.startswith("Allow")


async def test_o50_nothing_is_shown_where_nothing_may_be(town: Town, browser: Browser) -> None:
    silent = await town.asks(prompt="none")
    await browser.open(f"sign-in?request={silent.id}")
    assert browser.at.startswith(f"{CALLBACK}?error=login_required")
    await town.signs_in(browser, await town.person())
    silent = await town.asks(prompt="none")
    await browser.open(f"sign-in?request={silent.id}")
    assert browser.at.startswith(f"{CALLBACK}?error=consent_required")


@pytest.mark.parametrize("wanted", [{"prompt": "login"}, {"max_age": "0"}], ids=["prompt", "max_age"])
async def test_an_application_may_want_a_new_sign_in(town: Town, browser: Browser, wanted: dict[str, str]) -> None:
    user = await town.person()
    await town.signs_in(browser, user)
    pending = await town.asks(**wanted)
    await browser.open(f"continue?request={pending.id}")
    assert browser.title.startswith("Sign in")
    await town.signs_in(browser, user, pending.id)
    assert browser.title.startswith("Choose a patient")


async def test_o52_unknown_user_and_wrong_password_look_alike(town: Town, browser: Browser) -> None:
    user = await town.person()
    answers = []
    for username in (user.username, "u0000000x"):
        await browser.open("sign-in")
        response = await browser.send("sign-in", username=username, password="wrong")
        answers.append((response.status_code, response.text.replace(username, "NAME")))
    assert answers[0] == answers[1]
    assert answers[0][0] == 403


async def test_o51_whoever_has_to_wait_is_told_so(town: Town, browser: Browser) -> None:
    user = await town.person()
    for _ in range(6):
        await browser.open("sign-in")
        response = await browser.send("sign-in", username=user.username, password="wrong")
    assert response.status_code == 429
    assert "too many wrong tries" in browser.page.words
    await town.app.state.people.unlock(user)
    await town.store.attempts.forgive(town.tenant, "address:127.0.0.1")


async def test_o55_the_first_sign_in_sets_up_everything(town: Town, browser: Browser) -> None:
    user = await town.person(device=False)
    given = await town.app.state.people.give_password(user)
    await browser.open("sign-in")
    await browser.send("sign-in", username=user.username, password=given)
    assert browser.title.startswith("Set up your device")
    assert (await browser.send("enrol", code="000000")).status_code == 403
    secret = "".join(re.findall(r'class="key">([^<]+)<', browser.response.text)[0].split())
    session = await town.store.common.sessions.find_one({"user_id": user.user_id})
    assert session is not None
    assert totp.written(session["notes"]["enrol"]).replace(" ", "") == secret
    await browser.send("enrol", code=totp.code(session["notes"]["enrol"], int(time()) // totp.STEP))
    codes = re.findall(r"<code>([\w-]+)</code>", browser.response.text)
    assert len(codes) == 10
    await browser.open("continue")
    assert browser.title.startswith("Choose a password")
    response = await browser.send("password", password="short", repeated="other")
    assert response.status_code == 403
    await browser.send("password", password="a", repeated="a")
    assert "at least 8" in browser.page.words
    await browser.send("password", password="nine anchors of velvet", repeated="nine anchors of velvet")
    assert browser.title.startswith("Your account")
    await browser.send("sign-out")
    await browser.open("sign-in")
    await browser.send("sign-in", username=user.username, password="nine anchors of velvet")
    await browser.send("second-factor", code=codes[0])
    assert "9 recovery codes are left" in browser.page.words


@pytest.mark.parametrize("page", ["account", "password", "enrol", "continue", "recovery-codes", "consent", "patient"])
async def test_o55_nothing_goes_past_the_second_factor(town: Town, browser: Browser, page: str) -> None:
    user, pending = await town.person(), await town.asks()
    await browser.open(f"sign-in?request={pending.id}")
    await browser.send("sign-in", username=user.username, password=RIGHT)
    form = browser.page.form("second-factor")
    for response in (
        await browser.open(f"{page}?request={pending.id}") if page != "recovery-codes" else browser.response,
        await browser.post(page, **form, decision="allow", patient="p0")
        if page not in ("account", "continue")
        else None,
    ):
        assert response is None or browser.title.startswith("Enter your code")


async def test_o55_a_device_that_is_set_up_is_not_replaced(town: Town, browser: Browser) -> None:
    user = await town.person()
    await town.signs_in(browser, user)
    form = browser.page.form("sign-out")
    for _ in (await browser.open("enrol"), await browser.post("enrol", **form, code="000000")):
        assert browser.title.startswith("Your account")
    assert (await town.store.users.existing(town.tenant, user.username)).secret == user.secret


async def test_o55_codes_and_passwords_are_changed_by_who_has_the_password(town: Town, browser: Browser) -> None:
    user = await town.person()
    await town.signs_in(browser, user)
    await browser.send("recovery-codes", password="wrong")
    assert "not your password" in browser.page.words
    await browser.send("recovery-codes", password=RIGHT)
    assert len(re.findall("<code>", browser.response.text)) == 10
    await browser.open("password")
    new = "nine anchors of velvet"
    await browser.send("password", current="wrong", password=new, repeated=new)
    assert "not the password you have now" in browser.page.words
    await browser.send("password", current=RIGHT, password=new, repeated=new)
    assert browser.title.startswith("Your account")


async def test_o56_every_other_session_ends_with_the_password(town: Town, browser: Browser) -> None:
    user, other = await town.person(), town.browser()
    await town.signs_in(other, user)
    await town.signs_in(browser, user)
    new = "nine anchors of velvet"
    await browser.open("password")
    await browser.send("password", current=RIGHT, password=new, repeated=new)
    await browser.open("account")
    assert browser.title.startswith("Your account")
    await other.open("account")
    assert other.title.startswith("Sign in")
    await browser.send("sign-out")
    assert browser.title.startswith("You have signed out")
    await browser.open("account")
    assert browser.title.startswith("Sign in")
    await other.close()


@pytest.mark.parametrize("change", ["disable", "forget_second_factor", "give_password"])
async def test_o56_what_the_operator_does_ends_sessions_at_once(town: Town, browser: Browser, change: str) -> None:
    user = await town.person()
    await town.signs_in(browser, user)
    elsewhere = People(town.store, town.app.state.people._passwords)
    await getattr(elsewhere, change)(user)
    await browser.open("account")
    assert browser.title.startswith("Sign in")


async def test_o56_a_session_ends_by_itself(town: Town, browser: Browser) -> None:
    user = await town.person()
    for aged in ("seen", "expires"):
        await town.signs_in(browser, user)
        assert browser.title.startswith("Your account")
        session = await town.store.common.sessions.find_one({"user_id": user.user_id, "methods": "mfa"})
        assert session is not None
        lately = session[aged].replace(year=session[aged].year - 1)
        await town.store.common.sessions.update_one({"_id": session["_id"]}, {"$set": {aged: lately}})
        assert await town.app.state.sessions.ended(town.tenant, session["session_id"]) == (aged == "expires")
        await browser.open("account")
        assert browser.title.startswith("Sign in")
        await town.store.common.sessions.delete_one({"_id": session["_id"]})


async def test_what_was_allowed_is_shown_and_taken_back(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    await browser.open("account")
    grant = next(each["value"] for each in browser.page.all("button") if each.get("name") == "grant")
    assert "for Ann Lee" in browser.page.words
    stranger = town.browser()
    await town.signs_in(stranger, await town.person())
    await stranger.post("take-back", **stranger.page.form("sign-out"), grant=grant)
    assert await town.store.grants.get(town.tenant, grant) is not None
    await browser.send("take-back", grant=grant)
    assert await town.store.grants.get(town.tenant, grant) is None
    assert await town.store.revocations.at(f"{town.tenant}|grant|{grant}")
    assert "None at present" in browser.page.words
    await stranger.close()


async def test_places_that_are_not_there(town: Town, browser: Browser) -> None:
    for address in (f"{HOME}/auth/nobody/sign-in", f"{HOME}/auth/nobody/account"):
        assert (await browser.open(address)).status_code == 404
    assert (await browser.open("sign-in?request=nothing")).status_code == 400


async def test_one_password_is_enough_where_the_tenant_says_so(town: Town, browser: Browser) -> None:
    await town.store.tenants.configure(town.tenant, {"second_factor": "optional"})
    try:
        user = await town.person(device=False)
        await town.signs_in(browser, user)
        assert browser.title.startswith("Your account")
        assert "device-riverside" in browser.client.cookies
        await browser.open("enrol")
        assert browser.title.startswith("Set up your device")
    finally:
        await town.store.tenants.configure(town.tenant, {"second_factor": "required"})


async def test_pages_can_be_used_by_everybody(town: Town, browser: Browser) -> None:
    """WCAG 2.2: 1.3.1, 2.4.2, 3.1.1, 3.3.1, 3.3.2, 4.1.2."""
    await to_consent(town, browser)
    await browser.open("account")
    await browser.open("password")
    await browser.send("password", current="x", password="x", repeated="y")
    for response in browser.seen:
        if not response.headers.get("content-type", "").startswith("text/html"):
            continue
        page = type(browser.page)(response.text)
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("h1")) == len(page.all("main")) == 1
        labelled = {each.get("for") for each in page.all("label")}
        ids = {each["id"] for _, each in page.tags if "id" in each}
        for each in page.all("input"):
            shown = each.get("type") not in ("hidden", "checkbox") and "hidden" not in each
            assert not shown or each["id"] in labelled
            assert set(each.get("aria-describedby", "").split()) <= ids
        anchors = [each["href"][1:] for each in page.all("a") if each["href"].startswith("#")]
        assert set(anchors) <= ids
        assert ("Error: " in response.text) == bool(anchors)


async def test_the_style_sheet_is_small_and_kept(town: Town, browser: Browser) -> None:
    name, content = stylesheet()
    assert len(content) < 8192
    response = await browser.open(name)
    assert "immutable" in response.headers["cache-control"]
    assert "no-store" in (await browser.open("style-0.css")).headers["cache-control"]


INKS = [("ink", "paper"), ("ink", "around"), ("faint", "paper"), ("faint", "soft"), ("strong", "paper")]
INKS += [("strong", "around"), ("on-strong", "strong"), ("on-strong", "stronger"), ("ink", "soft")]
INKS += [("wrong", "paper"), ("wrong", "wrong-soft"), ("strong", "soft")]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("pair", INKS, ids="-on-".join)
def test_colours_differ_enough(pair: tuple[str, str], scheme: int) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text."""
    block = stylesheet()[1].decode().split(":root {")[scheme + 1].partition("}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", block))
    bright, dim = sorted((_luminance(colours[each]) for each in pair), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
