"""Who is let in.  RFC 6750, https://hl7.org/fhir/smart-app-launch/STU2.2/"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from fhir_server.settings import Settings
from tests.rest.conftest import MINE, OTHER, House, house, refusal


async def test_without_a_token_nothing_is_answered(served: House) -> None:
    for method, path in (
        ("GET", "Patient"),
        ("GET", "Patient/p1"),
        ("POST", ""),
        ("DELETE", "Patient/p1"),
        ("GET", "Foo"),
    ):
        answer = await served.client.request(method, f"/fhir/mine/{path}")
        assert refusal(answer) == (401, "login")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer not-a-token", "Bearer é"])
async def test_a_bad_token_is_refused(served: House, value: str) -> None:
    answer = await served.client.get("/fhir/mine/Patient", headers=[(b"Authorization", value.encode())])
    assert refusal(answer) == (401, "login")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_an_expired_token_is_told_so(served: House) -> None:
    token = await served.token(now=time.time() - 7200)
    answer = await served.client.get("/fhir/mine/Patient", headers={"Authorization": f"bearer {token}"})
    assert refusal(answer) == (401, "expired")


async def test_the_scheme_may_be_written_small(served: House) -> None:
    token = await served.token()
    answer = await served.client.get("/fhir/mine/Patient", headers={"Authorization": f"bearer {token}"})
    assert answer.status_code == 200


async def test_two_tokens_are_one_too_many(served: House) -> None:
    token = (await served.token()).encode()
    headers = [(b"Authorization", b"Bearer " + token), (b"Authorization", b"Bearer " + token)]
    assert (await served.client.get("/fhir/mine/Patient", headers=headers)).status_code == 400


async def test_a_token_in_the_url_is_not_one(served: House) -> None:
    token = await served.token()
    assert (await served.client.get(f"/fhir/mine/Patient?access_token={token}")).status_code == 401
    assert refusal(await served.ask("GET", f"Patient?access_token={token}"))[0] == 400


async def test_every_other_tenant_is_the_same_to_a_token(served: House) -> None:
    """An attacker with a token of one tenant cannot learn which others exist."""
    token = await served.token(tenant=MINE)
    answers = [
        await served.client.get(f"/fhir/{name}/Patient/p1", headers={"Authorization": f"Bearer {token}"})
        for name in (OTHER, "does-not-exist")
    ]
    assert [refusal(answer) for answer in answers] == [(403, "forbidden")] * 2
    assert answers[0].content == answers[1].content


async def test_no_header_selects_a_tenant(served: House) -> None:
    answer = await served.ask("GET", "Patient/p1", tenant=OTHER, headers={"X-Tenant": MINE, "X-Tenant-Id": MINE})
    assert refusal(answer) == (403, "forbidden")
    named = await served.ask("GET", "Patient", headers={"X-Tenant": OTHER, "Host": f"{OTHER}.example"})
    assert "/fhir/mine/" in named.text
    assert OTHER not in named.text


async def test_rights_stand_for_themselves(served: House) -> None:
    assert refusal(await served.ask("GET", "Patient/p1", scope="system/Patient.s")) == (403, "forbidden")
    assert refusal(await served.ask("GET", "Patient?_id=p1", scope="system/Patient.r")) == (403, "forbidden")
    assert refusal(await served.ask("GET", "Observation", scope="system/Patient.rs")) == (403, "forbidden")
    assert refusal(await served.ask("GET", "Observation", scope="openid")) == (403, "forbidden")
    assert refusal(await served.ask("GET", "Observation", scope="patient/*.rs")) == (403, "forbidden")


async def test_a_suspended_tenant_refuses_within_a_second(served: House) -> None:
    await served.app.state.store.tenants.create("paused")
    token = await served.token(tenant="paused")
    headers = {"Authorization": f"Bearer {token}"}
    assert (await served.client.get("/fhir/paused/Patient", headers=headers)).status_code == 200
    await served.app.state.store.tenants.suspend("paused")
    await asyncio.sleep(1)
    assert refusal(await served.client.get("/fhir/paused/Patient", headers=headers)) == (403, "forbidden")
    assert (await served.client.get("/fhir/paused/metadata")).status_code == 404
    await served.app.state.store.tenants.resume("paused")
    await asyncio.sleep(1)
    assert (await served.client.get("/fhir/paused/Patient", headers=headers)).status_code == 200


async def test_an_erased_tenant_takes_its_tokens_along(served: House) -> None:
    await served.app.state.store.tenants.create("leaving")
    token = await served.token(tenant="leaving")
    await served.app.state.store.tenants.erase("leaving")
    answer = await served.client.get("/fhir/leaving/Patient", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (401, 403)


@pytest.fixture(scope="module")
async def unguarded(mongo_url: str, database_name: str) -> AsyncIterator[House]:
    async for each in house(Settings(mongo_url=mongo_url, database=f"{database_name}_local", no_auth=True)):
        yield each
        await each.app.state.store._client.drop_database(f"{database_name}_local")


async def test_without_auth_everyone_here_is_the_operator(unguarded: House) -> None:
    assert (await unguarded.client.get("/fhir/mine/Patient")).status_code == 200
    assert refusal(await unguarded.client.get("/fhir/nobody/Patient")) == (404, "not-found")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "fhir.example", "::"])
def test_without_auth_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(ValueError, match="refuses the host"):
        Settings(no_auth=True, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_without_auth_loopback_addresses_are_served(host: str) -> None:
    assert Settings(no_auth=True, host=host).no_auth
