"""The token endpoint: codes, refresh tokens, backend services.  RFC 6749 §4 to §6, RFC 9700"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from fhir_server.auth import issuing
from fhir_server.auth.jwt import opened
from tests.auth.conftest import BASE, CALLBACK, CHALLENGE, VERIFIER, client
from tests.auth.site import JWKS, KEY, RSA, SECRET, Site, assertion
from tests.auth.site import site as running


@pytest.fixture(scope="module")
async def site(mongo_url: str, database_name: str) -> AsyncIterator[Site]:
    async for each in running(mongo_url, database_name):
        yield each


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{client_id}:{secret}'.encode()).decode()}"}


async def test_a_code_becomes_a_token_that_reads(site: Site) -> None:
    answer = await site.redeemed(await site.code())
    given = answer.json()
    assert answer.status_code == 200
    assert (given["token_type"], given["expires_in"], given["patient"]) == ("Bearer", 3600, "p1")
    assert given["scope"] == "openid fhirUser launch/patient patient/*.rs"
    assert given["need_patient_banner"] is True
    assert (await site.client.get(given["smart_style_url"])).json()["color_background"]
    assert "refresh_token" not in given
    assert (await site.read(given["access_token"])).status_code == 200
    assert (await site.read(given["access_token"], "Patient/p2")).status_code == 404


async def test_o16_a_token_is_good_at_its_own_base_only(site: Site) -> None:
    token = (await site.tokens())["access_token"]
    assert (await site.read(token, tenant="other")).status_code == 403
    assert (await site.client.get("/auth/other/userinfo", headers={"Authorization": f"Bearer {token}"})).is_error


async def test_o20_nobody_keeps_an_answer_of_the_token_endpoint(site: Site) -> None:
    for answer in (await site.redeemed(await site.code()), await site.redeemed("x")):
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


@pytest.mark.parametrize("verifier", ["", "short", "x" * 43, CHALLENGE, None], ids=str)
async def test_o03_a_code_with_a_wrong_verifier_is_burnt(site: Site, verifier: str | None) -> None:
    code = await site.code()
    more = {} if verifier is None else {"code_verifier": verifier}
    answer = await site.post(grant_type="authorization_code", code=code, client_id="app", redirect_uri=CALLBACK, **more)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert (await site.redeemed(code)).json()["error"] == "invalid_grant"


async def test_o07_other_grants_are_not_there(site: Site) -> None:
    for grant_type in ("password", "implicit", "", 'a"b', "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        answer = await site.post(grant_type=grant_type, client_id="app", username="x", password="y")
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_o10_a_code_used_twice_ends_all_that_it_gave(site: Site) -> None:
    code = await site.code(scope="launch/patient offline_access patient/*.rs")
    given = (await site.redeemed(code)).json()
    assert (await site.read(given["access_token"])).status_code == 200
    assert (await site.redeemed(code)).json()["error"] == "invalid_grant"
    assert (await site.read(given["access_token"])).status_code == 401
    assert (await site.refreshed(given["refresh_token"])).json()["error"] == "invalid_grant"


async def test_o11_of_many_exchanges_of_a_code_one_succeeds(site: Site) -> None:
    for _ in range(3):
        code = await site.code(scope="launch/patient offline_access patient/*.rs", who={"user_id": "hasty"})
        answers = await asyncio.gather(*(site.redeemed(code) for _ in range(20)))
        (given,) = [each.json() for each in answers if each.status_code == 200]
        assert (await site.read(given["access_token"])).status_code == 401, "O10: more than one had the code"
        assert (await site.refreshed(given["refresh_token"])).json()["error"] == "invalid_grant"
    assert await site.store.grants.of_user("acme", "hasty") == []


async def test_o12_a_code_is_good_for_a_minute(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.auth.authorization.CODE", timedelta(0))
    assert (await site.redeemed(await site.code())).json()["error"] == "invalid_grant"


async def test_o13_a_code_is_good_for_its_client(site: Site) -> None:
    code = await site.code()
    answer = await site.redeemed(code, client_id="secret", client_secret=SECRET)
    assert answer.json()["error"] == "invalid_grant"
    assert (await site.redeemed(code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("uri", ["https://app.example/other", "", f"{CALLBACK}/"])
async def test_o14_the_address_is_the_same_as_before(site: Site, uri: str) -> None:
    assert (await site.redeemed(await site.code(), redirect_uri=uri)).json()["error"] == "invalid_grant"


async def test_o26_the_identity_token_says_who_signed_in(site: Site) -> None:
    given = await site.tokens(nonce="n-1")
    header, claims = opened(given["id_token"])
    keys = (await site.client.get("/auth/acme/jwks")).json()["keys"]
    (key,) = [each for each in keys if each["kid"] == header["kid"]]
    jws.deserialize_compact(given["id_token"], RSAKey.import_key(key), algorithms=["RS256"])
    assert header["alg"] == "RS256"
    assert (claims["iss"], claims["sub"], claims["aud"], claims["azp"]) == (f"{BASE}/auth/acme", "u1", "app", "app")
    assert (claims["nonce"], claims["fhirUser"]) == ("n-1", f"{BASE}/fhir/acme/Practitioner/7")
    assert claims["iat"] <= time.time() < claims["exp"]


async def test_o27_who_the_user_is_in_fhir_has_to_be_asked_for(site: Site) -> None:
    given = await site.tokens(scope="openid launch/patient patient/*.rs")
    assert "fhirUser" not in opened(given["id_token"])[1]
    said = await site.client.get("/auth/acme/userinfo", headers={"Authorization": f"Bearer {given['access_token']}"})
    assert said.json() == {"sub": "u1"}
    nobody = await site.tokens(who={"fhir_user": None})
    assert "fhirUser" not in nobody["scope"]
    assert "fhirUser" not in opened(nobody["id_token"])[1]


async def test_refresh_tokens_turn(site: Site) -> None:
    given = await site.tokens()
    again = (await site.refreshed(given["refresh_token"])).json()
    assert again["refresh_token"] != given["refresh_token"]
    assert (again["scope"], again["patient"]) == (given["scope"], "p1")
    assert (await site.read(again["access_token"])).status_code == 200
    less = (await site.refreshed(again["refresh_token"], scope="patient/Patient.r")).json()
    assert less["scope"] == "patient/Patient.r"
    assert (await site.read(less["access_token"], "Observation")).status_code == 403


async def test_o28_a_refresh_token_is_its_clients_and_never_grows(site: Site) -> None:
    given = await site.tokens()
    assert (await site.refreshed(given["refresh_token"], client_id="secret", client_secret=SECRET)).is_error
    wider = await site.refreshed(given["refresh_token"], scope="patient/*.cruds")
    assert wider.json()["error"] == "invalid_scope"
    assert (await site.refreshed(given["refresh_token"])).status_code == 200
    for wrong in ("", "x", "a.b.c", "a.1.c", f"{given['refresh_token']}x", f"0{given['refresh_token']}"):
        assert (await site.refreshed(wrong)).json()["error"] == "invalid_grant"


async def test_o28_a_refresh_token_ends_with_its_user_and_client(site: Site) -> None:
    given = await site.tokens(who={"user_id": "leaver"})
    await site.store.revocations.revoke("acme", "user", "leaver")
    assert (await site.refreshed(given["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.read(given["access_token"])).status_code == 401
    await site.store.clients.add(client("passing"))
    scope = "launch/patient offline_access patient/*.rs"
    code = await site.code(client_id="passing", scope=scope)
    given = (await site.redeemed(code, client_id="passing")).json()
    await site.store.clients.change("acme", "passing", disabled=True)
    await site.store.revocations.revoke("acme", "client", "passing")
    assert (await site.refreshed(given["refresh_token"], client_id="passing")).status_code == 401
    assert (await site.read(given["access_token"])).status_code == 401


async def test_o29_a_refresh_token_after_its_turn_ends_the_family(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuing, "GRACE", timedelta(0))
    given = await site.tokens()
    again = (await site.refreshed(given["refresh_token"])).json()
    assert (await site.refreshed(given["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.refreshed(again["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.read(again["access_token"])).status_code == 401


async def test_o30_a_refresh_token_twice_at_once_is_answered_alike(site: Site) -> None:
    given = await site.tokens()
    answers = await asyncio.gather(*(site.refreshed(given["refresh_token"]) for _ in range(8)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["refresh_token"] for each in answers}) == 1
    assert len({json.dumps(opened(each.json()["access_token"])[1]) for each in answers}) == 1


async def test_o31_online_access_ends_with_the_session(site: Site) -> None:
    scope = "launch/patient online_access patient/*.rs"
    given = await site.tokens(scope=scope, who={"session_id": "s-online"})
    again = (await site.refreshed(given["refresh_token"])).json()
    await site.store.revocations.revoke("acme", "session", "s-online")
    assert (await site.refreshed(again["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.read(again["access_token"])).status_code == 401
    offline = await site.tokens(who={"session_id": "s-offline"})
    await site.store.revocations.revoke("acme", "session", "s-offline")
    assert (await site.refreshed(offline["refresh_token"])).status_code == 200


async def test_a_public_client_may_leave_out_its_name_when_it_refreshes(site: Site) -> None:
    given = await site.tokens()
    answer = await site.post(grant_type="refresh_token", refresh_token=given["refresh_token"])
    assert answer.status_code == 200
    code = await site.code(client_id="secret", scope="launch/patient offline_access patient/*.rs")
    given = (await site.redeemed(code, client_id="secret", client_secret=SECRET)).json()
    answer = await site.post(grant_type="refresh_token", refresh_token=given["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("how", ["basic", "post", "ES384", "RS384"])
async def test_a_confidential_client_proves_who_it_is(site: Site, how: str) -> None:
    client_id = "secret" if how in ("basic", "post") else "signing"
    code = await site.code(client_id=client_id)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    if how == "basic":
        answer = await site.post(headers=basic("secret", SECRET), **form)
    elif how == "post":
        answer = await site.post(client_id="secret", client_secret=SECRET, **form)
    else:
        shown = assertion({"ES384": KEY, "RS384": RSA}[how], iss="signing", sub="signing")
        answer = await site.post(client_assertion_type=issuing_type(), client_assertion=shown, **form)
    assert answer.status_code == 200, answer.text


def issuing_type() -> str:
    from fhir_server.auth.assertion import TYPE

    return TYPE


async def test_o32_a_backend_service_gets_a_short_token_and_no_refresh_token(site: Site) -> None:
    answer = await site.by_itself()
    given = answer.json()
    assert answer.status_code == 200, answer.text
    assert (given["scope"], given["expires_in"], given["token_type"]) == ("system/*.rs", 300, "Bearer")
    assert "refresh_token" not in given
    assert (await site.read(given["access_token"], "Patient?_summary=count")).json()["total"] == 2


@pytest.mark.parametrize("scope", ["", "system/*.cruds", "system/Foo.r", "patient/*.rs", "system/*.rs user/*.rs"])
async def test_o22_a_backend_service_gets_what_it_is_registered_for(site: Site, scope: str) -> None:
    assert (await site.by_itself(scope=scope)).json()["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "more",
    [
        {"sub": "another"},
        {"iss": "another"},
        {"iss": "nobody", "sub": "nobody"},
        {"iss": "app", "sub": "app"},
        {"iss": None},
        {"aud": f"{BASE}/auth/other/token"},
        {"aud": f"{BASE}/auth/acme"},
        {"aud": [f"{BASE}/auth/acme/token", "https://elsewhere.example"]},
        {"exp": int(time.time()) + 600},
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"exp": str(int(time.time()) + 200)},
        {"jti": None},
        {"jti": {"$ne": ""}},
        {"iss": "\ud800", "sub": "\ud800"},
        {"jti": "\udc80"},
        {"header": {"typ": "at+jwt"}},
        {"header": {"kid": "x"}},
        {"header": {"kid": "r1"}},
        {"header": {"jku": "https://client.example/jwks"}},
        {"header": {"jwk": JWKS["keys"][0]}},
        {"key": ECKey.generate_key("P-384", {"kid": "e1", "alg": "ES384"})},
    ],
    ids="-".join,
)
async def test_o33_a_wrong_assertion_is_refused(site: Site, more: dict[str, Any]) -> None:
    answer = await site.by_itself(assertion(**more))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_o33_the_type_of_the_assertion_is_named(site: Site) -> None:
    answer = await site.by_itself(client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert (await site.by_itself("not a token")).status_code == 401
    assert (await site.by_itself(client_id="another")).status_code == 401


async def test_o34_an_assertion_is_good_once(site: Site, mongo_url: str, database_name: str) -> None:
    shown = assertion()
    assert (await site.by_itself(shown)).status_code == 200
    assert (await site.by_itself(shown)).status_code == 401
    async for other in running(mongo_url, database_name):
        assert (await other.by_itself(shown)).status_code == 401


async def test_o39_a_client_uses_the_method_that_it_is_registered_for(site: Site) -> None:
    for client_id in ("backend", "app", "signing"):
        answer = await site.post(
            grant_type="client_credentials", scope="system/*.rs", client_id=client_id, client_secret="x"
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    code = await site.code(client_id="secret")
    assert (await site.redeemed(code, client_id="secret")).json()["error"] == "invalid_client"


async def test_o40_whoever_guesses_secrets_is_slowed_down(site: Site) -> None:
    for _ in range(10):
        assert (await site.post(grant_type="refresh_token", client_id="guess", client_secret="x")).status_code == 401
    slowed = await site.post(grant_type="refresh_token", client_id="guess", client_secret="x")
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) > 0
    assert (await site.by_itself()).status_code == 200


async def test_a_wrong_secret_is_refused_like_a_client_that_is_not_there(site: Site) -> None:
    answers = [
        await site.post(grant_type="refresh_token", refresh_token="x", headers=basic(client_id, "wrong"))
        for client_id in ("secret", "not-there")
    ]
    assert {(each.status_code, each.text, each.headers["www-authenticate"]) for each in answers} == {
        (401, answers[0].text, "Basic")
    }


@pytest.mark.parametrize("credentials", ["Basic /////w==", "Basic", "Basic x", "Digest x", "Basic 4oCm"])
async def test_credentials_that_are_none_are_refused(site: Site, credentials: str) -> None:
    answer = await site.post(grant_type="refresh_token", refresh_token="x", headers={"Authorization": credentials})
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


async def test_what_is_no_form_is_refused(site: Site) -> None:
    place = "/auth/acme/token"
    for more in (
        {"json": {"grant_type": "client_credentials"}},
        {"content": b"a=1&a=2", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"content": b"a=%ff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"content": b"a=" + b"x" * 70_000, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ):
        answer = await site.client.post(place, **more)
        assert answer.json()["error"] == "invalid_request"
    assert (await site.post(tenant="nobody", grant_type="client_credentials")).status_code == 404


async def test_what_a_launch_says_comes_with_the_token(site: Site) -> None:
    said = {"client_id": "app", "patient": "p2", "intent": "summary", "need_patient_banner": False}
    operator = (await site.by_itself()).json()["access_token"]
    answer = await site.client.post(
        "/auth/acme/launch",
        json={**said, "fhirContext": [{"reference": "Task/t1"}]},
        headers={"Authorization": f"Bearer {operator}"},
    )
    assert answer.status_code == 201, answer.text
    given = await site.tokens(scope="launch patient/*.rs", launch=answer.json()["launch"], patient=None)
    assert (given["patient"], given["intent"], given["need_patient_banner"]) == ("p2", "summary", False)
    assert given["fhirContext"] == [{"reference": "Task/t1"}]
    bearer = {"Authorization": f"Bearer {operator}"}
    told = (await site.post("introspect", headers=bearer, token=given["access_token"])).json()
    names = ("patient", "intent", "need_patient_banner", "fhirContext", "smart_style_url")
    assert {name: told[name] for name in names} == {name: given[name] for name in names}


async def test_an_encounter_comes_with_the_token(site: Site) -> None:
    given = await site.tokens(scope="launch/patient launch/encounter patient/*.rs", encounter="e1")
    assert (given["patient"], given["encounter"]) == ("p1", "e1")


async def test_grants_can_be_listed_and_ended(site: Site) -> None:
    given = await site.tokens(who={"user_id": "lister"})
    (grant,) = await site.store.grants.of_user("acme", "lister")
    assert (grant.client, grant.patient) == ("app", "p1")
    assert grant.created <= datetime.now(UTC)
    await site.provider.parts.issuing.end("acme", grant.grant_id)
    assert await site.store.grants.of_user("acme", "lister") == []
    assert (await site.read(given["access_token"])).status_code == 401
