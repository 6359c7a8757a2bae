"""Signing in with a provider elsewhere: a forger, and this server itself as the provider of another tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import yaml

from fhir_server.auth.fetching import Fetching
from fhir_server.auth.server import digest
from fhir_server.auth.upstream import Vouching
from fhir_server.store.clients import Client
from fhir_server.store.upstream import Upstream
from fhir_server.store.users import User, account_at
from tests.auth.people.browser import HOME, Browser
from tests.auth.people.forger import ISSUER, SECRET, Forger
from tests.auth.people.town import RIGHT, Town

PLAIN = "plain-secret"
CASES = yaml.safe_load((Path(__file__).parent / "upstream.yaml").read_text())["cases"]


def vouching(town: Town, transport: httpx.AsyncBaseTransport) -> None:
    """The server asks this transport, with all the care that it asks others with."""
    fetching = Fetching(frozenset({"127.0.0.1"}), transport)
    town.app.state.vouching = Vouching(town.store, town.app.state.keyring, fetching, HOME)


async def agreed(town: Town, **more: Any) -> Upstream:
    given = {"issuer": ISSUER, "client_id": "us", "title": "Them <b>&", "secret": SECRET, **more}
    return await town.store.upstreams.put(Upstream(town.tenant, **given))


@pytest_asyncio.fixture(autouse=True)
async def alone(town: Town) -> AsyncIterator[None]:
    """The provider and the settings of the tenant are those of the test."""
    await town.store.tenants.configure(town.tenant, {"second_factor": "optional", "passwords": "on"})
    yield
    await town.store.upstreams.remove(town.tenant)
    await town.store.tenants.configure(town.tenant, {"second_factor": "required", "passwords": "on"})


async def linked(town: Town, **more: Any) -> tuple[User, str]:
    """Somebody with an account of the forger's."""
    user, subject = await town.person(**{"device": False, **more}), f"sub-{uuid4().hex}"
    assert await town.store.users.link(user, account_at(ISSUER, subject))
    return await town.store.users.existing(town.tenant, user.username), subject


async def there_and_back(town: Town, browser: Browser, forger: Forger, authorization: str = "") -> httpx.Response:
    vouching(town, forger)
    await browser.open(f"provider?request={authorization}" if authorization else "provider")
    return await browser.open(forger.went(browser.at))


async def methods(town: Town, user: User) -> list[str]:
    found = await town.store.common.sessions.find_one({"user_id": user.user_id}, sort=[("_id", -1)])
    return list(found["methods"]) if found else []


@pytest.mark.parametrize("case", CASES, ids=[each["title"] for each in CASES])
async def test_answers(town: Town, browser: Browser, case: dict[str, Any]) -> None:
    await agreed(town)
    user, subject = await linked(town)
    given = {name: case[name] for name in ("key", "header", "claims", "answer", "document") if name in case}
    forger = Forger(**given, sub=subject)
    if case.get("begins", True):
        await there_and_back(town, browser, forger)
    else:
        vouching(town, forger)
        await browser.open("provider")
    assert browser.response.status_code == case["status"]
    assert ("Your account" in browser.title) == (case["status"] == 200)
    assert (await methods(town, user) == ["fed"]) == (case["status"] == 200)


async def test_what_is_asked_and_how_the_code_is_redeemed(town: Town, browser: Browser) -> None:
    await agreed(town, scopes=("openid", "profile"), classes=("urn:two",))
    _, subject = await linked(town)
    forger = Forger(sub=subject)
    await there_and_back(town, browser, forger)
    asked = {**forger.asked}
    assert [len(asked.pop(name)) for name in ("state", "nonce", "code_challenge")] == [43, 43, 43]
    assert asked == {
        "response_type": "code",
        "client_id": "us",
        "redirect_uri": f"{HOME}/auth/riverside/provider-answer",
        "scope": "openid profile",
        "code_challenge_method": "S256",
        "acr_values": "urn:two",
    }
    (form,) = forger.redeemed
    assert form["basic"] == f"us:{quote_plus(SECRET)}"
    assert "client_secret" not in form


async def test_an_answer_is_good_once_and_in_one_browser(town: Town, browser: Browser) -> None:
    """Login CSRF: who is sent here with the answer to somebody else's sign-in stays who they are."""
    await agreed(town)
    _, subject = await linked(town)
    forger, victim = Forger(sub=subject), town.browser()
    vouching(town, forger)
    await browser.open("provider")
    back = forger.went(browser.at)
    await victim.open("sign-in")
    assert (await victim.open(back)).status_code == 403
    assert "in another browser" in victim.page.words
    assert (await victim.open("account")).status_code == 200
    assert "Sign in" in victim.title
    await victim.close()
    assert forger.redeemed == []
    assert (await browser.open(back)).status_code == 403
    await there_and_back(town, browser, forger)
    assert "Your account" in browser.title
    replayed = await browser.open(f"provider-answer?code=c1&state={forger.asked['state']}")
    assert replayed.status_code == 403
    assert len(forger.redeemed) == 1


async def test_an_answer_that_is_late(town: Town, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    await agreed(town)
    _, subject = await linked(town)
    forger = Forger(sub=subject)
    monkeypatch.setattr("fhir_server.auth.upstream.AWAY", timedelta(0))
    assert (await there_and_back(town, browser, forger)).status_code == 403


async def test_a_parameter_twice(town: Town, browser: Browser) -> None:
    await agreed(town)
    assert (await browser.open("provider-answer?state=a&state=b")).status_code == 400
    assert (await browser.open("provider-answer?state=%ff")).status_code == 400


async def test_a_provider_that_was_changed_meanwhile(town: Town, browser: Browser) -> None:
    await agreed(town)
    _, subject = await linked(town)
    forger = Forger(sub=subject)
    vouching(town, forger)
    await browser.open("provider")
    await agreed(town, issuer="http://127.0.0.1:9001/others")
    assert (await browser.open(forger.went(browser.at))).status_code == 403
    assert forger.redeemed == []


async def test_no_provider_no_page(town: Town, browser: Browser) -> None:
    assert (await browser.open("provider")).status_code == 404
    assert "Sign in with" not in (await browser.open("sign-in")).text


@pytest.mark.parametrize(
    ("match", "claims", "known"),
    [
        ("preferred_username", {"preferred_username": "NAME"}, True),
        ("email", {"email": "NAME", "email_verified": True}, True),
        ("email", {"email": "NAME"}, False),
        ("email", {"email": "NAME", "email_verified": "true"}, False),
        ("email", {"email": "NAME", "email_verified": False}, False),
        ("preferred_username", {"name": "NAME"}, False),
        ("preferred_username", {"preferred_username": ["NAME"]}, False),
        (None, {"preferred_username": "NAME"}, False),
    ],
)
async def test_the_first_sign_in(
    town: Town, browser: Browser, match: str | None, claims: dict[str, Any], known: bool
) -> None:
    await agreed(town, match=match)
    user, subject = await town.person(device=False), uuid4().hex

    def filled(value: Any) -> Any:
        return [user.username] if isinstance(value, list) else user.username.upper() if value == "NAME" else value

    forger = Forger(sub=subject, claims={name: filled(value) for name, value in claims.items()})
    await there_and_back(town, browser, forger)
    assert ("Your account" in browser.title) == known
    assert ("nobody here goes by that account" in browser.page.words) != known
    found = await town.store.users.existing(town.tenant, user.username)
    assert found.upstream == (account_at(ISSUER, subject) if known else None)


async def test_a_name_that_goes_to_somebody_else_there_opens_nothing(town: Town, browser: Browser) -> None:
    await agreed(town, match="preferred_username")
    user, subject = await linked(town)
    forger = Forger(sub="somebody-new", claims={"preferred_username": user.username})
    assert (await there_and_back(town, browser, forger)).status_code == 403
    again = Forger(sub=subject, claims={"preferred_username": "whatever-it-is-now"})
    assert "Your account" in (await there_and_back(town, browser, again)).text
    other = await town.person(device=False)
    assert not await town.store.users.link(other, account_at(ISSUER, subject))


async def test_disabled_people_stay_outside(town: Town, browser: Browser) -> None:
    await agreed(town, match="preferred_username")
    user, subject = await linked(town)
    await there_and_back(town, browser, Forger(sub=subject))
    await town.app.state.people.disable(user)
    assert "Sign in" in (await browser.open("account")).text
    assert (await there_and_back(town, browser, Forger(sub=subject))).status_code == 403
    fresh = await town.person(device=False)
    await town.app.state.people.disable(fresh)
    claims = {"preferred_username": fresh.username}
    assert (await there_and_back(town, browser, Forger(sub="fresh", claims=claims))).status_code == 403


@pytest.mark.parametrize(
    ("trusted", "claims", "device", "proven", "page"),
    [
        (False, {"amr": ["pwd", "otp", "mfa"]}, True, ["fed", "pwd"], "code"),
        (False, {"amr": ["mfa"]}, False, ["fed"], "Set up"),
        (True, {"amr": ["hwk", "mfa"]}, True, ["fed", "hwk", "mfa"], "Your account"),
        (True, {"amr": ["otp"]}, True, ["fed"], "code"),
        (True, {"acr": "urn:two"}, False, ["fed", "mfa"], "Your account"),
        (True, {"acr": "urn:one"}, False, ["fed"], "Set up"),
        (False, {"acr": "urn:two"}, False, ["fed"], "Set up"),
    ],
)
async def test_a_second_factor_counts_where_the_tenant_says_so(
    town: Town, browser: Browser, trusted: bool, claims: dict[str, Any], device: bool, proven: list[str], page: str
) -> None:
    await town.store.tenants.configure(town.tenant, {"second_factor": "required"})
    await agreed(town, trusted=trusted, classes=("urn:two",))
    user, subject = await linked(town, device=device)
    await there_and_back(town, browser, Forger(sub=subject, claims=claims))
    assert await methods(town, user) == proven
    assert page in browser.title
    if page == "code":
        await browser.send("second-factor", code=town.code(user))
        assert "Your account" in browser.title


@pytest.mark.parametrize(
    ("wants", "said", "sent", "goes"),
    [
        ({"prompt": "login"}, {"auth_time": 0}, {"prompt": "login", "max_age": "0"}, True),
        ({"prompt": "login"}, {"auth_time": -600}, {"prompt": "login", "max_age": "0"}, False),
        ({"prompt": "login"}, {}, {"prompt": "login", "max_age": "0"}, False),
        ({"max_age": "900"}, {"auth_time": -600}, {"max_age": "900"}, True),
        ({"max_age": "300"}, {"auth_time": -600}, {"max_age": "300"}, False),
        ({}, {"auth_time": -600}, {}, True),
    ],
)
async def test_an_application_that_wants_a_fresh_sign_in(
    town: Town, browser: Browser, wants: dict[str, str], said: dict[str, int], sent: dict[str, str], goes: bool
) -> None:
    await agreed(town)
    _, subject = await linked(town)
    pending, forger = await town.asks(**wants), Forger(sub=subject, claims=said)
    await there_and_back(town, browser, forger, pending.id)
    assert {name: forger.asked[name] for name in ("prompt", "max_age") if name in forger.asked} == sent
    assert browser.title.startswith("Choose a patient") == goes
    assert goes or "cannot be relied on" in browser.page.words


async def test_passwords_are_off_where_the_tenant_says_so(town: Town, browser: Browser) -> None:
    await agreed(town)
    user, subject = await linked(town)
    await browser.open("sign-in")
    form = browser.page.form("sign-in")
    assert "Sign in with Them &lt;b&gt;&amp;" in browser.response.text
    await town.store.tenants.configure(town.tenant, {"passwords": "off"})
    await browser.open("sign-in")
    assert [action for action, _ in browser.page.forms] == []
    answer = await browser.post("sign-in", **form, username=user.username, password=RIGHT)
    assert answer.status_code == 403
    await there_and_back(town, browser, Forger(sub=subject))
    assert "Change your password" not in browser.response.text
    await town.store.upstreams.remove(town.tenant)
    other = town.browser()
    assert "Nobody can sign in here" in (await other.open("sign-in")).text
    await other.close()


async def test_a_given_password_is_not_skipped_by_coming_from_elsewhere(town: Town, browser: Browser) -> None:
    await agreed(town)
    user, subject = await linked(town)
    await town.app.state.people.give_password(user)
    await there_and_back(town, browser, Forger(sub=subject))
    assert "Your account" in browser.title
    await browser.open("password")
    new = "seventeen quiet herons"
    assert (await browser.send("password", password=new, repeated=new)).status_code == 403
    assert "not the password you have now" in browser.page.words


async def test_signing_out_leads_on_to_the_provider(town: Town, browser: Browser) -> None:
    await agreed(town)
    user, subject = await linked(town)
    await there_and_back(town, browser, Forger(sub=subject))
    await browser.send("sign-out")
    assert "You may still be signed in" in browser.page.words
    (address,) = [each["href"] for each in browser.page.all("a") if each["href"].startswith(ISSUER)]
    assert dict(parse_qsl(urlsplit(address).query)) == {
        "client_id": "us",
        "post_logout_redirect_uri": f"{HOME}/auth/riverside/signed-out",
    }
    assert await methods(town, user) == []


async def test_secrets_are_sealed(town: Town) -> None:
    kept = await agreed(town)
    document = await town.store.common.providers.find_one({"_id": "riverside|provider"})
    assert document is not None
    assert SECRET.encode() not in document["secret"]
    assert SECRET not in repr(kept)
    found = await town.store.upstreams.get(town.tenant)
    assert found is not None
    assert found.secret == SECRET


@pytest_asyncio.fixture(scope="module")
async def clinic(town: Town) -> AsyncIterator[Town]:
    """Another tenant of the same server, to whose people the first one opens."""
    await town.store.tenants.create("clinic", settings={"second_factor": "optional"})
    back = (f"{HOME}/auth/riverside/provider-answer",)
    key = {"jwks_uri": f"{HOME}/auth/riverside/jwks"}
    for more in ({"kind": "secret", "secret": digest(PLAIN)}, {"kind": "key", **key}):
        client = Client("clinic", f"by-{more['kind']}", "Riverside", scopes="openid", redirect_uris=back, **more)
        await town.store.clients.add(client)
    yield Town(town.app, "clinic")


@pytest.mark.parametrize("kind", ["secret", "key"])
async def test_this_server_is_a_provider_of_its_own(
    town: Town, clinic: Town, browser: Browser, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is real: discovery, keys, consent, the code, its proof, the identity token."""
    transport = httpx.ASGITransport(town.app, raise_app_exceptions=False)
    vouching(town, transport)
    keys = town.app.state.provider.parts.assertions._keys
    monkeypatch.setattr(keys._published, "_fetch", Fetching(frozenset({"127.0.0.1"}), transport))
    there = await clinic.person(device=False)
    here = await town.store.users.add(User(town.tenant, there.user_id, "Ann Lee", roles=("physician",)))
    secret = PLAIN if kind == "secret" else None
    smart = {"aud": f"{HOME}/fhir/clinic", "state": "not this one"}
    place = f"{HOME}/auth/clinic"
    await agreed(town, issuer=place, client_id=f"by-{kind}", secret=secret, match="sub", parameters=smart)
    pending = await town.asks()
    await browser.open(f"sign-in?request={pending.id}")
    await browser.open(f"provider?request={pending.id}")
    elsewhere = clinic.browser()
    begun = await elsewhere.client.get(browser.at)
    await elsewhere.open(f"{HOME}{begun.headers['location']}")
    await elsewhere.send("sign-in", username=there.username, password=RIGHT)
    await elsewhere.send("consent", decision="allow", scope=elsewhere.page.offered)
    assert elsewhere.at.startswith(f"{HOME}/auth/riverside/provider-answer?code=")
    await elsewhere.close()
    await browser.open(elsewhere.at)
    assert browser.title.startswith("Choose a patient")
    assert await methods(town, here) == ["fed"]
    assert (await browser.open(elsewhere.at)).status_code == 403
