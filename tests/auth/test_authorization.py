"""Requests for authorization, from the application's until a person has decided.  RFC 6749 §4.1"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from fhir_server.auth.authorization import Authorizations
from fhir_server.auth.refusal import Refused
from fhir_server.store.connection import Store
from tests.auth.conftest import BASE, CALLBACK, SCOPES, asking, client, person


def answer(location: str) -> dict[str, str]:
    assert location.startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


async def test_a_good_request_waits_for_a_person(authorizations: Authorizations) -> None:
    begun = await authorizations.begin("acme", asking(nonce="n", prompt="login consent", max_age="60"))
    assert await authorizations.pending("acme", begun.id) == begun
    assert (begun.client_name, begun.scopes[0], begun.needs_patient) == ("An App", "openid", True)
    assert (begun.nonce, begun.prompt, begun.max_age) == ("n", "login consent", 60)
    assert await authorizations.pending("other", begun.id) is None
    assert await authorizations.pending("acme", "nothing") is None


@pytest.mark.parametrize("state", ["é\n✓ +&=%", "x" * 2048])
async def test_o08_state_comes_back_as_it_was(authorizations: Authorizations, state: str) -> None:
    begun = await authorizations.begin("acme", asking(state=state))
    said = answer(await authorizations.approve(begun, person(), begun.scopes, "p1", None))
    assert said["state"] == state
    begun = await authorizations.begin("acme", asking(state=state))
    assert answer(await authorizations.deny(begun)) == {
        "error": "access_denied",
        "state": state,
        "iss": f"{BASE}/auth/acme",
    }


async def test_o09_the_issuer_stands_in_the_answer(authorizations: Authorizations) -> None:
    begun = await authorizations.begin("acme", asking())
    said = answer(await authorizations.approve(begun, person(), begun.scopes, "p1", None))
    assert said["iss"] == f"{BASE}/auth/acme"
    assert len(said["code"]) >= 32


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"state": "x" * 5000}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": f"{BASE}/fhir/other"}, "invalid_request"),
        ({"aud": "https://elsewhere.example/fhir/acme"}, "invalid_request"),
        ({"scope": "patient/Foo.r"}, "invalid_scope"),
        ({"scope": "patient/Observation.rs?category:not=x"}, "invalid_scope"),
        ({"scope": "patient/*.rs?category=x"}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "patient/Observation.rs?code=" + "x" * 3000}, "invalid_scope"),
        ({"request": "ey"}, "request_not_supported"),
        ({"prompt": "always"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"launch": "forged", "scope": "launch patient/*.rs"}, "invalid_request"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_told_to_the_application(
    authorizations: Authorizations, more: dict[str, str | None], error: str
) -> None:
    with pytest.raises(Refused) as refused:
        await authorizations.begin("acme", asking(**more))
    assert refused.value.error == error
    assert not refused.value.page
    assert answer(refused.value.location or "")["error"] == error


@pytest.mark.parametrize("name", ["state", "scope", "code_challenge"])
async def test_a_parameter_is_there_once(authorizations: Authorizations, name: str) -> None:
    with pytest.raises(Refused) as refused:
        await authorizations.begin("acme", [*asking(), (name, "again")])
    assert refused.value.error == "invalid_request"
    for other in ("client_id", "redirect_uri"):
        with pytest.raises(Refused) as refused:
            await authorizations.begin("acme", [*asking(), (other, "again")])
        assert refused.value.page


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://app.example",
        f"{CALLBACK}/",
        f"{CALLBACK}?x=1",
        f"{CALLBACK}#x",
        "https://app.example/x/../callback",
        "https://app.example:444/callback",
        "https://APP.example/callback",
        "https://user@app.example/callback",
        "https://xn--pp-fka.example/callback",
        "https://äpp.example/callback",
        "https://app.example.evil.example/callback",
        "http://app.example/callback",
        "http://127.0.0.1:1/callback",
    ],
)
async def test_o05_an_address_that_is_not_registered_is_never_gone_to(authorizations: Authorizations, uri: str) -> None:
    for more in ({}, {"response_type": "token"}):
        with pytest.raises(Refused) as refused:
            await authorizations.begin("acme", asking(redirect_uri=uri, **more))
        assert refused.value.page


async def test_o05_the_port_of_a_loopback_address_is_free(authorizations: Authorizations, house: Store) -> None:
    await house.clients.add(client("native", redirect_uris=("http://127.0.0.1/cb",)))
    begun = await authorizations.begin("acme", asking(client_id="native", redirect_uri="http://127.0.0.1:4711/cb"))
    assert begun.redirect_uri == "http://127.0.0.1:4711/cb"
    with pytest.raises(Refused):
        await authorizations.begin("acme", asking(client_id="native", redirect_uri="http://127.0.0.1:4711/other"))


async def test_o06_a_client_that_nobody_knows_gets_a_page(authorizations: Authorizations, house: Store) -> None:
    await house.clients.add(client("off", disabled=True))
    await house.clients.add(client("waiting", approved=False))
    for unknown in ("nobody", "off", "waiting", None):
        with pytest.raises(Refused) as refused:
            await authorizations.begin("acme", asking(client_id=unknown))
        assert refused.value.page


async def test_a_request_is_decided_once(authorizations: Authorizations) -> None:
    begun = await authorizations.begin("acme", asking())
    await authorizations.approve(begun, person(), begun.scopes, "p1", None)
    for decide in (
        lambda: authorizations.approve(begun, person(), begun.scopes, "p1", None),
        lambda: authorizations.deny(begun),
    ):
        with pytest.raises(Refused) as refused:
            await decide()
        assert refused.value.page


async def test_o21_no_more_is_given_than_asked_and_registered(authorizations: Authorizations, house: Store) -> None:
    begun = await authorizations.begin("acme", asking(scope="patient/*.cruds patient/Patient.read profile"))
    assert begun.scopes == ("patient/*.rs", "patient/Patient.read")
    location = await authorizations.approve(begun, person(), ["patient/Patient.cruds", "user/*.rs"], "p1", None)
    code = await house.handles.read("acme", "code", answer(location)["code"])
    assert code is not None
    assert code["scopes"] == ["patient/Patient.rs"]


@pytest.mark.parametrize(
    ("more", "patient"),
    [({}, None), ({}, "nobody"), ({"tenant": "other"}, "p1")],
    ids=str,
)
async def test_o24_patient_scopes_need_a_patient(
    authorizations: Authorizations, more: dict[str, object], patient: str | None
) -> None:
    begun = await authorizations.begin("acme", asking())
    with pytest.raises(Refused) as refused:
        await authorizations.approve(begun, person(**more), begun.scopes, patient, None)
    assert answer(refused.value.location or "")["error"] == "access_denied"


async def test_o25_a_patient_of_others_cannot_be_named(authorizations: Authorizations) -> None:
    for launched in ({}, {"patient": "p1"}):
        begun = replace(await authorizations.begin("acme", asking()), **launched)
        with pytest.raises(Refused) as refused:
            await authorizations.approve(begun, person(patients=("p2",)), begun.scopes, "p1", None)
        assert answer(refused.value.location or "")["error"] == "access_denied"


async def test_o23_a_launch_is_used_once_by_its_client(authorizations: Authorizations, house: Store) -> None:
    launched = {"client_id": "app", "patient": "p2", "encounter": None, "intent": "summary"}
    launch = await house.handles.new("acme", "launch", launched, timedelta(minutes=5))
    asks = asking(launch=launch, scope="launch patient/*.rs")
    begun = await authorizations.begin("acme", asks)
    again = await authorizations.begin("acme", asks)
    assert (begun.patient, begun.needs_patient, begun.context) == ("p2", False, {"intent": "summary"})
    await authorizations.approve(begun, person(), begun.scopes, "p1", None)
    with pytest.raises(Refused):
        await authorizations.begin("acme", asks)
    with pytest.raises(Refused):
        await authorizations.approve(again, person(), again.scopes, None, None)


async def test_o23_a_launch_is_of_one_client_and_tenant_and_grows_old(
    authorizations: Authorizations, house: Store
) -> None:
    for tenant, client_id, lifetime in (("acme", "another", 5), ("other", "app", 5), ("acme", "app", 0)):
        launched = {"client_id": client_id, "patient": "p2"}
        launch = await house.handles.new(tenant, "launch", launched, timedelta(minutes=lifetime))
        with pytest.raises(Refused):
            await authorizations.begin("acme", asking(launch=launch, scope="launch patient/*.rs"))


async def test_all_scopes_that_are_registered_can_be_asked_for(authorizations: Authorizations) -> None:
    begun = await authorizations.begin("acme", asking(scope=SCOPES))
    assert begun.scopes == tuple(each for each in SCOPES.split() if each != "launch")
