"""Choosing a patient and a visit, consenting, taking back: from the application and back to it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fhir_server.auth.pages.consenting import permitted
from tests.auth.people.browser import Browser
from tests.auth.people.town import (
    CALLBACK,
    RIGHT,
    SCOPES,
    Town,
    as_person,
    exchanged,
    scopes_given,
    status,
    to_consent,
    tokens,
)

LABORATORY = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


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


async def test_what_was_consented_to_is_what_the_token_may(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="allow", scope=["patient/Patient.rs", "offline_access"])
    answer = await exchanged(town, browser)
    assert answer["patient"] == "p0"
    assert set(answer["scope"].split()) == {"launch/patient", "patient/Patient.rs", "offline_access"}
    found = [await status(browser, path, answer) for path in ("Patient/p0", "Patient/p1", "Observation")]
    assert found == [200, 404, 403]


async def test_a_person_gives_no_more_than_the_roles_have(town: Town, browser: Browser) -> None:
    pending = await town.asks("user/*.rs patient/Observation.cruds patient/AuditEvent.rs launch/patient")
    person = (await town.person(roles=("physician",)), await town.person(roles=("nobody",)))
    about = [await as_person(town, each) for each in person]
    assert permitted((*pending.scopes, "patient/Observation.cruds", "user/AuditEvent.rs"), about[0]) == [
        "user/*.rs",
        "patient/Observation.rs",
        "launch/patient",
        "patient/Observation.crus",
    ]
    assert permitted(pending.scopes, about[1]) == ["launch/patient"]


@pytest.mark.parametrize("lasting", ["online_access", "offline_access"])
async def test_o56_signing_out_ends_what_needs_the_person(town: Town, browser: Browser, lasting: str) -> None:
    await to_consent(town, browser, f"launch/patient patient/Patient.rs {lasting}")
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    answer = await exchanged(town, browser)
    await browser.open("account")
    await browser.send("sign-out")
    again = await tokens(town, browser, refresh_token=answer["refresh_token"])
    assert (again.status_code == 200) == (lasting == "offline_access")
    if lasting == "online_access":
        assert await status(browser, "Patient/p0", answer) == 401


async def test_o56_a_new_password_ends_every_token(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="allow", scope=browser.page.offered)
    answer = await exchanged(town, browser)
    assert await status(browser, "Patient/p0", answer) == 200
    new = "nine anchors of velvet"
    await browser.open("password")
    await browser.send("password", current=RIGHT, password=new, repeated=new)
    assert await status(browser, "Patient/p0", answer) == 401
    assert (await tokens(town, browser, refresh_token=answer["refresh_token"])).json()["error"] == "invalid_grant"


async def test_what_cannot_be_asked_for_is_said_on_a_page(town: Town, browser: Browser) -> None:
    assert (await browser.open("authorize?client_id=nobody")).status_code == 400
    assert browser.title == "This is not possible"
