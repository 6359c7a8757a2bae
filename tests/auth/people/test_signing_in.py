"""Signing in and out by the pages, and what nobody gets past."""

from __future__ import annotations

import re
from time import time

import httpx
import pytest

from fhir_server.app import build
from fhir_server.auth import totp
from fhir_server.auth.people import People
from fhir_server.settings import Settings
from tests.auth.people.browser import Browser
from tests.auth.people.town import (
    RIGHT,
    Town,
    settled,
    to_consent,
)

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
    device = await town.store.users.unsealed(user, session["notes"]["enrol"])
    assert totp.written(device).replace(" ", "") == secret
    await browser.send("enrol", code=totp.code(device, int(time()) // totp.STEP))
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


async def test_signing_in_works_in_memory_too() -> None:
    async with settled(Settings(memory=True)) as town:
        browser = town.browser()
        await town.signs_in(browser, await town.person())
        assert browser.title.startswith("Your account")
        await browser.send("sign-out")
        assert browser.title.startswith("You have signed out")
        await browser.close()
