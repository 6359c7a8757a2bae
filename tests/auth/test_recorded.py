"""What applications leave in the record of the authorization server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fhir_server.fhir import validate
from tests import events
from tests.auth.conftest import asking
from tests.auth.site import Site, assertion
from tests.auth.site import site as running


@pytest.fixture(scope="module")
async def site(mongo_url: str, database_name: str) -> AsyncIterator[Site]:
    async for each in running(mongo_url, database_name):
        yield each


async def latest(site: Site, tenant: str = "acme") -> dict[str, Any]:
    """The last event, in the words of the tables."""
    kept = (await events.found(site.store, tenant))[-1]
    validate.check(kept)
    return await events.summary(site.store, tenant, kept)


def holds(found: dict[str, Any], **wanted: Any) -> None:
    assert {name: found[name] for name in wanted} == wanted


async def test_tokens_that_are_given_leave_whom_they_are_for_and_about(site: Site) -> None:
    given = await site.tokens()
    told = {"type": "110114", "client": "app", "user": "Practitioner/7", "patients": ["Patient/p1"], "outcome": "0"}
    holds(await latest(site), subtype=["ITI-71", "token-issued"], **told)
    await site.refreshed(given["refresh_token"])
    holds(await latest(site), subtype=["ITI-71", "token-refreshed"], **told)
    await site.by_itself()
    holds(await latest(site), subtype=["ITI-71", "token-issued"], client="backend", user="backend", patients=[])


async def test_o13_o29_what_is_used_by_another_or_twice_is_an_alert(site: Site) -> None:
    await site.redeemed(await site.code(), client_id="secret", client_secret="a secret of the client")
    replay = {"type": "110113", "subtype": ["replay"], "outcome": "8"}
    holds(await latest(site), **replay, client="secret", described="400 invalid_grant")
    first = (await site.tokens())["refresh_token"]
    await site.refreshed((await site.refreshed(first)).json()["refresh_token"])
    await site.refreshed(first)
    holds(await latest(site), **replay, client="app", described="400 invalid_grant")


async def test_a_client_that_proves_nothing_is_not_believed_its_name(site: Site) -> None:
    await site.by_itself(assertion(iss="canary", sub="canary"))
    refused = {"outcome": "8", "client": "not authenticated", "described": "401 invalid_client"}
    holds(await latest(site), subtype=["ITI-71", "token-issued"], **refused)
    await site.post("introspect", token="x", client_id="canary", client_secret="canary")
    holds(await latest(site), subtype=["refused"], **refused)
    await site.client.get("/auth/acme/userinfo", headers={"Authorization": "Bearer canary"})
    holds(await latest(site), subtype=["refused"], outcome="8", described="401 invalid_token")


async def test_a_token_that_is_taken_back_is_named(site: Site) -> None:
    given = await site.tokens()
    await site.post("revoke", token=given["refresh_token"], client_id="app")
    holds(await latest(site), type="110113", subtype=["token-revoked"], action="D", client="app", user="Practitioner/7")


async def test_what_applications_ask_in_vain_is_recorded(site: Site) -> None:
    await site.client.get("/auth/acme/authorize", params=asking(code_challenge=None))
    holds(await latest(site), subtype=["refused"], outcome="4", client="app", described="invalid_request")
    await site.client.post("/auth/acme/register", json={"client_name": "canary"})
    holds(await latest(site), subtype=["110129", "client"], outcome="8", described="403 access_denied")


async def test_a_launch_names_whom_it_is_about(site: Site) -> None:
    headers = {"Authorization": f"Bearer {(await site.by_itself()).json()['access_token']}"}
    await site.client.post("/auth/acme/launch", json={"client_id": "app", "patient": "p1"}, headers=headers)
    holds(await latest(site), subtype=["launch"], client="backend", user="backend", patients=["Patient/p1"])


async def test_nothing_that_was_sent_is_kept_in_clear(site: Site) -> None:
    await site.client.get("/auth/acme/authorize", params=asking(state="canary", code_challenge=None))
    await site.client.post("/auth/acme/register", json={"client_name": "canary"})
    await site.post("token", grant_type="authorization_code", code="canary", client_id="app")
    kept = await events.found(site.store, "acme")
    assert len(kept) >= 3
    assert "canary" not in json.dumps(kept)


async def test_a_tenant_that_is_not_there_has_no_record(site: Site) -> None:
    assert (await site.post("token", tenant="nowhere")).status_code == 404
