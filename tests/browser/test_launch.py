"""An application with the public JavaScript library `fhirclient`, launched alone and out of an EHR, in a real browser.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.conftest import PATIENCE, TENANT, Person, Served, seen
from tests.browser.steps import settle, sign_in

SCOPES = "launch launch/patient openid fhirUser offline_access patient/*.rs"


@pytest.fixture(scope="module")
def registered(served: Served, app: str) -> str:
    """The application, known to the server; the address it starts at."""
    words = ("--id", "growth-chart", "--redirect-uri", f"{app}/index.html", "--launch-url", f"{app}/launch.html")
    served.command("client", "add", "Growth Chart", "--tenant", TENANT, *words, "--scope", SCOPES)
    return f"{app}/launch.html?server={quote(served.fhir)}"


def read(page: Any) -> dict[str, str]:
    """What the application shows when it has its token."""
    page.wait_for_function(
        "document.getElementById('ready')?.textContent || document.getElementById('problem').textContent"
    )
    names = ("patient", "user", "scope", "observations", "conditions", "problem")
    return {name: page.text_content(f"#{name}") for name in names}


def launched_alone(page: Any, registered: str, ann: Person) -> None:
    """A person signs in with a second factor, picks a patient and takes one scope away; the application reads on."""
    page.goto(registered)
    page.wait_for_selector("#username")
    seen(page, "sign-in")
    settle(page, ann)
    page.wait_for_selector("#name")
    seen(page, "patient-search")
    page.fill("#name", "lop")
    page.get_by_role("button", name="Search").click()
    page.wait_for_selector(".choices")
    seen(page, "patient-found")
    page.get_by_role("button", name="Lopez").click()
    page.wait_for_selector("#scopes")
    seen(page, "consent")
    page.locator("input[value^='patient/Condition']").first.uncheck()
    page.get_by_role("button", name="Allow").click()
    found = read(page)
    assert found["problem"] == ""
    assert json.loads(found["patient"])["id"] == "p1"
    assert found["user"].endswith("Practitioner/dr")
    assert found["observations"] == "2"
    assert found["conditions"] == "refused 403"
    assert "patient/Condition" not in found["scope"]
    assert {"openid", "fhirUser", "launch/patient", "offline_access", "patient/Observation.rs"} <= set(
        found["scope"].split()
    )


def refreshed(page: Any) -> None:
    page.click("#refresh")
    page.wait_for_function("document.getElementById('refreshed').textContent")
    assert page.text_content("#refreshed") == "yes"


def launched_out_of_an_ehr(page: Any, served: Served) -> None:
    """The patient is the one that the EHR shows; who is signed in is not asked to do so again."""
    launch = served.command("launch", "create", "growth-chart", "--tenant", TENANT, "--patient", "p2")
    page.goto(launch["launch_url"])
    page.wait_for_selector("#scopes")
    assert "Chan" in page.text_content("main")
    page.get_by_role("button", name="Allow").click()
    found = read(page)
    assert found["problem"] == ""
    assert json.loads(found["patient"])["id"] == "p2"
    assert (found["observations"], found["conditions"]) == ("0", "0")


def what_was_allowed_is_taken_back(page: Any, served: Served) -> None:
    """From the account page; the application notices at once."""
    page.goto(f"{served.base}/auth/{TENANT}/account")
    seen(page, "account")
    while page.get_by_role("button", name="Take back").count():
        page.get_by_role("button", name="Take back").first.click()
        page.wait_for_selector("[role=status]")
    seen(page, "account-empty")
    page.get_by_role("button", name="Sign out").click()
    seen(page, "signed-out")


def signed_in_again(page: Any, ann: Person, registered: str) -> None:
    """With the new password and the next code of the device; then the person refuses."""
    page.goto(registered)
    page.wait_for_selector("#username")
    sign_in(page, ann)
    page.fill("#name", "chan")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Chan").click()
    page.get_by_role("button", name="Refuse").click()
    assert "access_denied" in read(page)["problem"] or "denied" in read(page)["problem"].lower()


def what_cannot_be_answered_is_said_to_the_person(page: Any, served: Served) -> None:
    """An unknown client: a page, and no redirect."""
    page.goto(
        f"{served.base}/auth/{TENANT}/authorize?client_id=nobody&response_type=code&redirect_uri=http://example.org"
    )
    seen(page, "problem")
    assert page.url.startswith(served.base)


def without_scripts_on_a_telephone(browser: Any, served: Served, ann: Person) -> None:
    """And without the device: by a recovery code."""
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 360, "height": 640}, color_scheme="dark"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{served.base}/auth/{TENANT}/sign-in")
    page.fill("#username", ann.username)
    page.fill("#password", ann.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.fill("#code", ann.recovery[0])
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector("text=You are signed in as")
    context.close()


def test_a_person_and_an_application(browser: Any, page: Any, served: Served, registered: str, ann: Person) -> None:
    """One story, each part of which goes on where the one before has ended."""
    launched_alone(page, registered, ann)
    refreshed(page)
    launched_out_of_an_ehr(page, served)
    what_was_allowed_is_taken_back(page, served)
    signed_in_again(page, ann, registered)
    what_cannot_be_answered_is_said_to_the_person(page, served)
    without_scripts_on_a_telephone(browser, served, ann)
