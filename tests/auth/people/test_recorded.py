"""What people leave in the record: who signed in, who tried to, what was changed and what was allowed."""

from __future__ import annotations

import json
from time import time
from typing import Any

import pytest

from fhir_server.auth import totp
from fhir_server.fhir.outcome import transient
from tests import events
from tests.auth.people.browser import Browser
from tests.auth.people.town import RIGHT, Town, to_consent


async def latest(town: Town, number: int = 1) -> list[dict[str, Any]]:
    """The last events, in the words of the tables."""
    kept = (await events.found(town.store, town.tenant))[-number:]
    return [await events.summary(town.store, town.tenant, each) for each in kept]


def shown(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(each[name] for name in names) for each in found]


async def test_signing_in_and_out(town: Town, browser: Browser) -> None:
    user = await town.person()
    await town.signs_in(browser, user)
    await browser.send("sign-out")
    found = shown(await latest(town, 3), "type", "subtype", "outcome", "user")
    who = "Practitioner/1"
    assert found == [
        ("110114", ["110122"], "0", who),
        ("110114", ["110122"], "0", who),
        ("110114", ["110123"], "0", who),
    ]


async def test_failures_and_the_pause_after_them(town: Town, browser: Browser) -> None:
    user = await town.person()
    for _ in range(6):
        await browser.open("sign-in")
        await browser.send("sign-in", username=user.username, password="canary")
    found = shown(await latest(town, 6), "subtype", "outcome", "user", "status")
    assert found[0] == (["110122"], "8", "Practitioner/1", "403")
    assert found[-1] == (["lockout"], "8", "Practitioner/1", "429")
    await browser.send("sign-in", username="canary", password="canary")
    assert shown(await latest(town), "outcome", "user", "client") == [("8", None, "not authenticated")]


async def test_what_people_change_about_themselves(town: Town, browser: Browser) -> None:
    user = await town.person(device=False)
    await browser.open("sign-in")
    await browser.send("sign-in", username=user.username, password=RIGHT)
    await browser.send("enrol", code="000000")
    session = await town.store.common.sessions.find_one({"user_id": user.user_id, "notes.enrol": {"$exists": True}})
    assert session is not None
    device = await town.store.users.unsealed(user, session["notes"]["enrol"])
    await browser.send("enrol", code=totp.code(device, int(time()) // totp.STEP))
    await browser.open("password")
    await browser.send("password", current="canary", password="x", repeated="y")
    found = shown(await latest(town, 3), "subtype", "action", "outcome")
    assert found == [
        (["110137", "second-factor"], "U", "8"),
        (["110137", "second-factor"], "U", "0"),
        (["110137", "password"], "U", "8"),
    ]


async def test_what_people_allow_and_take_back(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    found = shown(await latest(town, 3), "subtype", "patients", "user")
    assert found[0] == (["choice"], ["Patient/p0", "Patient/p1"], "Practitioner/1"), "those that were listed"
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    assert shown(await latest(town), "subtype", "outcome", "client", "user", "patients") == [
        (["decision"], "0", "app", "Practitioner/1", ["Patient/p0"])
    ]
    await browser.open("account")
    grant = next(each["value"] for each in browser.page.all("button") if each.get("name") == "grant")
    await browser.send("take-back", grant=grant)
    assert ("token-revoked",) in [tuple(each["subtype"]) for each in await latest(town, 3)]


async def test_what_people_refuse(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="deny")
    assert shown(await latest(town), "subtype", "outcome", "described") == [
        (["decision"], "4", "refused by the person")
    ]


async def test_nobody_signs_in_unrecorded(town: Town, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> str:
        raise transient("The record is away.")

    user = await town.person(device=False)
    await browser.open("sign-in")
    monkeypatch.setattr(town.store.journal, "record", away)
    response = await browser.send("sign-in", username=user.username, password=RIGHT)
    assert response.status_code == 503
    assert not response.headers.get_list("set-cookie")


async def test_nothing_that_was_typed_is_kept_in_clear(town: Town, browser: Browser) -> None:
    user = await town.person()
    for name in (user.username, "canary"):
        await browser.open("sign-in")
        await browser.send("sign-in", username=name, password="canary")
    kept = await events.found(town.store, town.tenant)
    assert len(kept) >= 2
    assert "canary" not in json.dumps(kept)
