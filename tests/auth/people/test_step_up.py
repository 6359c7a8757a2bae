"""Stepping up: who signs proves again who they are.  21 CFR 11.200(a)(1)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.access.caller import Caller
from fhir_server.auth.tokens import issue
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.step_up import Purpose
from fhir_server.store.users import User
from tests.auth.people.browser import Browser
from tests.auth.people.town import RIGHT, Town, exchanged, to_consent


class Signer:
    """A person with a token of a session."""

    def __init__(self, town: Town, user: User, session: str) -> None:
        self.town = town
        self.user = user
        self.session = session

    async def token(self, **more: Any) -> str:
        claims: dict[str, Any] = {"person": {"roles": list(self.user.roles)}, "more": {"sid": self.session}, **more}
        key = await self.town.app.state.keyring.signing(self.user.tenant)
        about = {"tenant": self.user.tenant, "subject": self.user.user_id, "client_id": "app", "scope": "user/*.cruds"}
        return issue(key, base_url="", **{**about, **claims})

    async def posts(self, token: str | None = None, **form: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or await self.token()}"}
        async with self.town.browser().client as client:
            return await client.post("step-up", data={"purpose": "sign", **form}, headers=headers)

    async def both(self, **form: str) -> httpx.Response:
        return await self.posts(password=RIGHT, code=self.town.code(self.user), **form)

    def caller(self, **more: Any) -> Caller:
        given = {"token_id": "t1", "session_id": self.session, "roles": self.user.roles, **more}
        return Caller(self.user.tenant, self.user.user_id, "app", (), **given)

    async def redeems(self, word: str, purpose: Purpose = "sign", **more: Any) -> tuple[str, ...]:
        return (await self.town.store.step_ups.redeem(self.caller(**more), word, purpose)).methods


@pytest.fixture
async def signer(town: Town) -> Signer:
    return Signer(town, await town.person(), uuid4().hex)


async def series_begun(signer: Signer) -> None:
    assert await signer.redeems((await signer.both()).json()["step_up"]) == ("pwd", "otp")


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


MISSING = (401, "insufficient_user_authentication")


async def test_two_factors_first_then_one_within_ten_idle_minutes(signer: Signer) -> None:
    assert error(await signer.posts(password=RIGHT)) == MISSING
    assert error(await signer.posts(code=signer.town.code(signer.user))) == MISSING
    await series_begun(signer)
    for factor in ({"password": RIGHT}, {"code": signer.town.code(signer.user)}):
        answer = await signer.posts(**factor)
        assert answer.status_code == 200, answer.text
        assert len(await signer.redeems(answer.json()["step_up"])) == 1
    assert error(await signer.posts()) == MISSING


async def test_all_factors_again_after_a_break(signer: Signer) -> None:
    """21 CFR 11.200(a)(1)(ii)"""
    await series_begun(signer)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await signer.town.store.common.handles.update_many({"_id": {"$regex": r"\|signing\|"}}, {"$set": {"until": past}})
    assert error(await signer.posts(password=RIGHT)) == MISSING


async def test_a_series_is_one_of_signings_in_one_session(signer: Signer) -> None:
    """Stepping up without signing begins none, and breaking the glass always takes both factors."""
    assert (await signer.both()).status_code == 200
    assert error(await signer.posts(password=RIGHT)) == MISSING
    await series_begun(Signer(signer.town, signer.user, uuid4().hex))
    assert error(await signer.posts(password=RIGHT)) == MISSING
    another = Signer(signer.town, await signer.town.person(), uuid4().hex)
    await series_begun(another)
    assert error(await another.posts(password=RIGHT, purpose="break-glass")) == MISSING


async def test_the_answer_says_how_long_the_word_is_good(signer: Signer) -> None:
    answer = await signer.both()
    assert answer.status_code == 200
    assert answer.json() == {"step_up": answer.json()["step_up"], "expires_in": 300}
    assert answer.headers["cache-control"] == "no-store"


async def test_a_word_is_good_once(signer: Signer) -> None:
    word = (await signer.both()).json()["step_up"]
    assert await signer.redeems(word)
    with pytest.raises(FhirError, match="used once"):
        await signer.redeems(word)


@pytest.mark.parametrize(
    "more",
    [{"session_id": "another"}, {"session_id": None}, {"session_id": None, "token_id": None}, {"roles": None}],
    ids=str,
)
async def test_a_word_is_of_one_session(signer: Signer, more: dict[str, Any]) -> None:
    word = (await signer.both()).json()["step_up"]
    with pytest.raises(FhirError) as problem:
        await signer.redeems(word, **more)
    assert problem.value.status == 403
    assert await signer.redeems(word), "whoever else tried it has not used it up"


async def test_a_word_is_of_one_person_and_purpose(signer: Signer) -> None:
    word = (await signer.both()).json()["step_up"]
    other = Signer(signer.town, await signer.town.person(), signer.session)
    for refused in (other.redeems(word), signer.redeems(word, "break-glass"), signer.redeems("nothing")):
        with pytest.raises(FhirError) as problem:
            await refused
        assert problem.value.status == 403


async def test_a_word_is_no_longer_good_when_the_person_is_disabled(signer: Signer) -> None:
    word = (await signer.both()).json()["step_up"]
    await signer.town.app.state.people.disable(signer.user)
    with pytest.raises(FhirError, match="not good"):
        await signer.redeems(word)


@pytest.mark.parametrize("wrong", ["password", "code"])
async def test_what_is_wrong_is_not_told(signer: Signer, wrong: str) -> None:
    given = {"password": RIGHT, "code": signer.town.code(signer.user), wrong: "000000"}
    answer = await signer.posts(**given)
    assert error(answer) == MISSING
    assert answer.json()["error_description"].startswith("The password or the code is not right")


async def test_o54_a_code_is_good_once_here_too(signer: Signer) -> None:
    code = signer.town.code(signer.user)
    assert (await signer.posts(password=RIGHT, code=code)).status_code == 200
    assert error(await signer.posts(password=RIGHT, code=code)) == MISSING


async def test_o51_five_wrong_passwords_are_the_end_for_a_while(signer: Signer) -> None:
    statuses = [error(await signer.posts(password="wrong", code="000000"))[0] for _ in range(5)]
    answer = await signer.both()
    assert (statuses, answer.status_code) == ([401] * 5, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 6


async def test_o54_five_wrong_codes_are_the_end_for_longer(signer: Signer) -> None:
    statuses = [error(await signer.posts(password=RIGHT, code="000000"))[0] for _ in range(5)]
    answer = await signer.both()
    assert (statuses, answer.status_code) == ([401] * 5, 429)
    assert int(answer.headers["retry-after"]) > 600


async def test_only_people_with_both_factors_step_up(town: Town, signer: Signer) -> None:
    denied = (403, "access_denied")
    assert error(await signer.posts(await signer.token(person={}), password=RIGHT, code="1")) == denied
    assert error(await signer.posts(await signer.token(subject="app"), password=RIGHT, code="1")) == denied
    without = Signer(town, await town.person(device=False), "s")
    assert error(await without.posts(password=RIGHT, code="1")) == denied
    given = Signer(town, await town.person(renew=True), "s")
    assert error(await given.both()) == denied


@pytest.mark.parametrize("form", [{"purpose": "fun"}, {"code": "aaaa-bbbb-cccc-dddd"}], ids=str)
async def test_what_cannot_be_meant_is_refused(signer: Signer, form: dict[str, str]) -> None:
    given = {"password": RIGHT, "code": "1", **form}
    assert error(await signer.posts(**given)) == (400, "invalid_request")


async def test_who_is_not_signed_in_cannot_step_up(signer: Signer) -> None:
    answer = await signer.posts("nonsense", password=RIGHT, code="1")
    assert error(answer) == (401, "invalid_token")


async def test_by_a_person_who_has_signed_in_with_an_app(town: Town, browser: Browser) -> None:
    await to_consent(town, browser)
    await browser.send("consent", decision="allow", scope="patient/Patient.rs")
    token = (await exchanged(town, browser))["access_token"]
    claims = await town.app.state.provider.tokens.claims(token)
    user = await town.store.users.by_id(town.tenant, claims["sub"])
    assert user is not None
    answer = await Signer(town, user, claims["sid"]).posts(token, password=RIGHT, code=town.code(user))
    caller = await town.app.state.provider.tokens.caller(token)
    assert (await town.store.step_ups.redeem(caller, answer.json()["step_up"], "sign")).user.user_id == user.user_id


async def test_passwords_do_not_go_over_a_connection_that_others_can_read(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer.town.app.state.sessions, "possible", False)
    assert error(await signer.both()) == (403, "invalid_request")
