"""The public Python library `fhirclient`: somebody signs in for it, and it reads and refreshes with what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import TENANT, Person, Served
from tests.browser.steps import settle

client = pytest.importorskip("fhirclient.client", reason="the Python library fhirclient is not installed")

SCOPES = "launch/patient offline_access patient/*.rs"


def test_it_reads_and_refreshes(page: Any, served: Served, app: str, ann: Person) -> None:
    answered = f"{app}/answered"
    words = ("--id", "reader", "--redirect-uri", answered, "--scope", SCOPES)
    secret = served.command("client", "add", "Reader", "--tenant", TENANT, "--secret", *words)["client_secret"]
    settings = {"app_id": "reader", "app_secret": secret, "api_base": served.fhir, "redirect_uri": answered}
    smart = client.FHIRClient(settings={**settings, "scope": SCOPES})
    page.goto(smart.authorize_url)
    settle(page, ann)
    page.fill("#name", "lopez")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Lopez").click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"{answered}**")
    smart.handle_callback(page.url)
    assert smart.patient.name[0].family == "Lopez"
    before = smart.server.auth.access_token
    assert smart.reauthorize()
    assert smart.server.auth.access_token != before
    observations = smart.server.request_json("Observation?patient=p1")
    assert observations["total"] == 2
