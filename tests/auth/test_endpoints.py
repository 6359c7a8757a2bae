"""The other endpoints of the authorization server, by HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.auth.conftest import BASE, CALLBACK, asking, client
from tests.auth.site import JWKS, SECRET, Site, assertion
from tests.auth.site import site as running


@pytest.fixture(scope="module")
async def site(mongo_url: str, database_name: str) -> AsyncIterator[Site]:
    async for each in running(mongo_url, database_name):
        yield each


async def bearer(site: Site, scope: str = "system/*.rs") -> dict[str, str]:
    return {"Authorization": f"Bearer {(await site.by_itself(scope=scope)).json()['access_token']}"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_good_request_goes_to_the_sign_in_page(site: Site, method: str) -> None:
    form = {"params": asking()} if method == "GET" else {"data": dict(asking())}
    answer = await site.client.request(method, "/auth/acme/authorize", **form)
    assert answer.status_code == 303, "O49: never 307, which would post a form on"
    place, _, query = answer.headers["location"].partition("?request=")
    assert place == "/auth/acme/sign-in"
    assert await site.provider.authorizations.pending("acme", query)


@pytest.mark.parametrize("more", [{"code_challenge": None}, {"code_challenge_method": "plain"}], ids=str)
async def test_o01_o02_no_request_without_s256(site: Site, more: dict[str, str | None]) -> None:
    for client_id in ("app", "secret"):
        answer = await site.client.get("/auth/acme/authorize", params=asking(client_id=client_id, **more))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{CALLBACK}?")
        assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == ["invalid_request"]


async def test_o01_no_request_without_a_challenge(site: Site) -> None:
    await test_o01_o02_no_request_without_s256(site, {"code_challenge": ""})


async def test_o02_no_request_with_a_plain_challenge(site: Site) -> None:
    await test_o01_o02_no_request_without_s256(site, {"code_challenge_method": "S512"})


async def test_o04_no_code_is_without_a_challenge(site: Site) -> None:
    """There is nothing to downgrade to: what has no challenge never gets to a code."""
    await test_o01_o02_no_request_without_s256(site, {"code_challenge": None, "code_challenge_method": None})


@pytest.mark.parametrize(
    "more",
    [{"redirect_uri": "https://evil.example/"}, {"client_id": "nobody"}, {"redirect_uri": None, "response_type": "x"}],
    ids=str,
)
async def test_o06_a_stranger_gets_a_page_and_no_redirect(site: Site, more: dict[str, str | None]) -> None:
    answer = await site.client.get("/auth/acme/authorize", params=asking(**more))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


async def test_o15_no_login_for_another_base(site: Site) -> None:
    for aud in (None, f"{BASE}/fhir/other", f"{BASE}/fhir", "https://elsewhere.example/fhir/acme"):
        answer = await site.client.get("/auth/acme/authorize", params=asking(aud=aud))
        assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == ["invalid_request"]
    assert (await site.client.get("/auth/acme/authorize", params=asking(aud=f"{BASE}/fhir/acme/"))).is_redirect


async def test_no_tenant_no_authorization_server(site: Site) -> None:
    await site.store.tenants.create("asleep")
    await site.store.tenants.suspend("asleep")
    for tenant in ("nobody", "asleep"):
        for place in ("authorize", ".well-known/openid-configuration", "style.json"):
            assert (await site.client.get(f"/auth/{tenant}/{place}")).status_code == 404


async def test_o17_what_is_wrong_with_a_token_is_said(site: Site) -> None:
    given = await site.tokens()
    await site.post("revoke", token=given["access_token"], client_id="app")
    answer = await site.read(given["access_token"])
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_o18_a_token_in_the_address_is_not_looked_at(site: Site) -> None:
    token = (await site.tokens())["access_token"]
    answer = await site.client.get("/fhir/acme/Patient/p1", params={"access_token": token})
    assert answer.status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    twice = await site.client.get("/fhir/acme/Patient", params={"access_token": token}, headers=headers)
    assert twice.status_code == 400
    form = await site.client.post("/fhir/acme/Patient/_search", data={"access_token": token})
    assert form.status_code == 401


async def test_o19_a_token_comes_once_whatever_the_case_of_its_scheme(site: Site) -> None:
    token = (await site.tokens())["access_token"]
    for scheme in ("bearer", "BEARER"):
        read = await site.client.get("/fhir/acme/Patient/p1", headers={"Authorization": f"{scheme} {token}"})
        assert read.status_code == 200
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert (await site.client.get("/fhir/acme/Patient/p1", headers=twice)).status_code == 400


async def test_o41_only_who_may_learns_what_a_token_is(site: Site) -> None:
    given = await site.tokens()
    shown = given["access_token"]
    for refused in ({}, {"client_id": "app"}, {"client_id": "secret", "client_secret": "wrong"}):
        assert (await site.post("introspect", token=shown, **refused)).status_code == 401
    proof = {"client_id": "secret", "client_secret": SECRET}
    await site.store.clients.add(
        client("theirs", tenant="other", kind="secret", secret=(await _client(site, "secret")).secret)
    )
    theirs = await site.post("introspect", tenant="other", token=shown, client_id="theirs", client_secret=SECRET)
    garbage = await site.post("introspect", token="garbage", **proof)
    await site.post("revoke", token=shown, client_id="app")
    revoked = await site.post("introspect", token=shown, **proof)
    assert theirs.text == garbage.text == revoked.text == '{"active":false}'
    patient = {"Authorization": f"Bearer {(await site.tokens())['access_token']}"}
    assert (await site.post("introspect", headers=patient, token=shown)).status_code == 403


async def _client(site: Site, client_id: str) -> Any:
    return await site.store.clients.get("acme", client_id)


async def test_o42_what_is_said_of_a_good_token(site: Site) -> None:
    given = await site.tokens()
    answer = await site.post("introspect", headers=await bearer(site), token=given["access_token"])
    said = answer.json()
    assert said["active"] is True
    assert (said["client_id"], said["scope"], said["patient"]) == ("app", given["scope"], "p1")
    assert (said["iss"], said["sub"]) == (f"{BASE}/auth/acme", "u1")
    assert said["fhirUser"] == f"{BASE}/fhir/acme/Practitioner/7"
    assert said["exp"] - said["iat"] == given["expires_in"]
    kept = await site.post("introspect", headers=await bearer(site), token=given["refresh_token"])
    assert (kept.json()["active"], kept.json()["token_type"]) == (True, "refresh_token")


async def test_o43_a_client_ends_its_own_tokens_and_no_other(site: Site) -> None:
    given = await site.tokens()
    other = {"client_id": "secret", "client_secret": SECRET}
    for shown in ("garbage", given["access_token"], given["refresh_token"]):
        answer = await site.post("revoke", token=shown, **other)
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await site.read(given["access_token"])).status_code == 200
    assert (await site.post("revoke", token=given["refresh_token"], client_id="app")).status_code == 200
    assert (await site.refreshed(given["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await site.read(given["access_token"])).status_code == 401
    assert (await site.post("revoke", token="x")).status_code == 401
    assert (await site.post("revoke", client_id="app")).status_code == 400


async def test_o44_the_configuration_is_json_for_everyone(site: Site) -> None:
    for accept in ("text/html", "application/fhir+xml", "*/*"):
        answer = await site.client.get(
            "/fhir/acme/.well-known/smart-configuration", headers={"Accept": accept, "Origin": "https://any.example"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == "*"
    said = answer.json()
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert {"authorization_code", "client_credentials"} <= set(said["grant_types_supported"])
    assert {"launch-ehr", "permission-v1", "permission-v2", "authorize-post"} <= set(said["capabilities"])
    assert (await site.client.get("/fhir/nobody/.well-known/smart-configuration")).status_code == 404


async def test_what_is_published_agrees(site: Site) -> None:
    smart = (await site.client.get("/fhir/acme/.well-known/smart-configuration")).json()
    openid = (await site.client.get("/auth/acme/.well-known/openid-configuration")).json()
    assert smart["issuer"] == openid["issuer"] == f"{BASE}/auth/acme"
    assert openid["id_token_signing_alg_values_supported"] == ["RS256"]
    keys = (await site.client.get(openid["jwks_uri"])).json()["keys"]
    assert {"RSA", "EC"} == {each["kty"] for each in keys}
    stated = (await site.client.get("/fhir/acme/metadata")).json()["rest"][0]["security"]
    uris = {each["url"]: each["valueUri"] for each in stated["extension"][0]["extension"]}
    assert uris == {
        "authorize": smart["authorization_endpoint"],
        "token": smart["token_endpoint"],
        "introspect": smart["introspection_endpoint"],
        "revoke": smart["revocation_endpoint"],
        "register": smart["registration_endpoint"],
    }


async def test_o45_scripts_of_registered_origins_only(site: Site) -> None:
    known = await _from(site, "https://app.example")
    assert known.headers["access-control-allow-origin"] == "https://app.example"
    for origin in ("https://evil.example", "null", "https://app.example.evil.example"):
        assert "access-control-allow-origin" not in (await _from(site, origin)).headers
    for answer in (known, await _from(site, "https://app.example", method="OPTIONS")):
        assert "access-control-allow-credentials" not in answer.headers
    asked = await _from(site, "https://app.example", method="OPTIONS")
    assert (asked.status_code, "POST" in asked.headers["access-control-allow-methods"]) == (204, True)
    read = await _from(site, "https://app.example", "/fhir/acme/Patient/p1", "GET")
    assert read.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in (await _from(site, "https://app.example", "/fhir/none/x")).headers


async def _from(site: Site, origin: str, path: str = "/auth/acme/token", method: str = "POST") -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {"Origin": origin}
    return await site.client.request(method, path, headers=headers)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 201),
        ({"encounter": "nobody"}, 404),
        ({"patient": "nobody"}, 404),
        ({"patient": "../p1"}, 400),
        ({"client_id": "nobody"}, 400),
        ({"client_id": None}, 400),
        ({"need_patient_banner": "yes"}, 400),
        ({"fhirContext": ["Patient/p1"]}, 400),
        ({"tenant": "other"}, 400),
        ({"intent": "\ud800"}, 400),
        ({"fhirContext": [{"reference": {"$ne": 1}}]}, 400),
        ({"fhirContext": [{"reference": "Task/t1", "identifier": {"x": "y"}}]}, 400),
        ({"fhirContext": [{"reference": "Task/t1"}] * 21}, 400),
        ({"fhirContext": [{"reference": "Patient/p1"}]}, 400),
        ({"fhirContext": [{"reference": "Encounter/e1", "role": "launch"}]}, 400),
        ({"fhirContext": [{"reference": "Task/t1", "role": ""}]}, 400),
        ({"fhirContext": [{"reference": "Task/t1", "role": "mine"}]}, 400),
        ({"fhirContext": [{"reference": "Patient/p1", "role": "https://example.org/mother"}]}, 201),
    ],
    ids=str,
)
async def test_a_launch_is_checked_when_it_begins(site: Site, more: dict[str, Any], status: int) -> None:
    said = {name: value for name, value in {"client_id": "app", "patient": "p1", **more}.items() if value is not None}
    headers = {"Content-Type": "application/json", **await bearer(site)}
    answer = await site.client.post("/auth/acme/launch", content=json.dumps(said), headers=headers)
    assert answer.status_code == status, answer.text


async def test_a_launch_goes_to_the_address_of_the_client_and_is_begun_by_who_may(site: Site) -> None:
    await site.store.clients.add(client("launched", launch_url="https://app.example/launch?x=1"))
    said = {"client_id": "launched", "patient": "p1"}
    made = (await site.client.post("/auth/acme/launch", json=said, headers=await bearer(site))).json()
    query = parse_qs(urlsplit(made["launch_url"]).query)
    assert query == {"x": ["1"], "iss": [f"{BASE}/fhir/acme"], "launch": [made["launch"]]}
    patient = {"Authorization": f"Bearer {(await site.tokens())['access_token']}"}
    assert (await site.client.post("/auth/acme/launch", json=said, headers=patient)).status_code == 403
    assert (await site.client.post("/auth/acme/launch", json=said)).status_code == 401
    blind = await bearer(site, "system/Observation.cruds")
    assert (await site.client.post("/auth/acme/launch", json=said, headers=blind)).status_code == 403


GOOD = {
    "client_name": "Self-made",
    "redirect_uris": ["https://self.example/cb"],
    "scope": "launch/patient patient/*.rs",
    "token_endpoint_auth_method": "none",
}


async def test_registration_is_closed_until_the_operator_opens_it(site: Site) -> None:
    assert (await site.client.post("/auth/acme/register", json=GOOD)).status_code == 403


async def test_a_client_that_registered_itself_waits_for_approval(site: Site) -> None:
    await site.store.tenants.create("trusting")
    for setting, active in (("approval", False), ("open", True)):
        await site.store.tenants.configure("trusting", {"registration": setting})
        answer = await site.client.post("/auth/trusting/register", json=GOOD)
        assert answer.status_code == 201, answer.text
        made = await site.store.clients.get("trusting", answer.json()["client_id"])
        assert made is not None
        assert (made.active, made.kind, made.origins) == (active, "public", ("https://self.example",))
    secret = await site.client.post(
        "/auth/trusting/register", json={**GOOD, "token_endpoint_auth_method": "client_secret_basic"}
    )
    assert secret.json()["client_secret"]
    backend = {"scope": "system/*.rs", "grant_types": ["client_credentials"], "jwks": JWKS}
    key = await site.client.post(
        "/auth/trusting/register", json={**backend, "token_endpoint_auth_method": "private_key_jwt"}
    )
    assert key.status_code == 201, key.text


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/cb#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://u@app.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example:x/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://app.example"}, "invalid_client_metadata"),
        ({"scope": "patient/Foo.r"}, "invalid_client_metadata"),
        ({"scope": ""}, "invalid_client_metadata"),
        ({"scope": 1}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_redirect_uri"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "file:///etc"}, "invalid_client_metadata"),
        ({"jwks": JWKS}, "invalid_client_metadata"),
        ({"jwks": "x"}, "invalid_client_metadata"),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"x": {"$x": 1}}]}},
            "invalid_client_metadata",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "-".join(each),
)
async def test_what_cannot_be_registered_is_said(
    site: Site, more: dict[str, Any], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.auth.throttle.FAILURES", 100)
    if await site.store.tenants.get("open") is None:
        await site.store.tenants.create("open", settings={"registration": "open"})
    answer = await site.client.post("/auth/open/register", json={**GOOD, **more})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_an_assertion_of_a_client_without_key_is_none(site: Site) -> None:
    assert (await site.by_itself(assertion(iss="secret", sub="secret"))).status_code == 401
