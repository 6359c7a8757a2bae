"""Access tokens, from issue to caller.  RFC 9068"""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey

from fhir_server.access.right import Right
from fhir_server.access.scopes import InvalidScope
from fhir_server.auth.jwt import ExpiredToken, InvalidToken, SigningKey
from fhir_server.auth.tokens import REMEMBERED_MOST, AccessTokens, audience, issue, issuer

KEYS = {name: ECKey.generate_key("P-384", {"kid": f"k-{name}", "alg": "ES384"}) for name in ("acme", "other")}


class Ring:
    """The keys of two tenants; counts how often they are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def verifying(self, tenant: str) -> dict[str, SigningKey]:
        self.asked += 1
        return {KEYS[tenant].kid: KEYS[tenant]} if tenant in KEYS else {}


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def tokens(clock: Clock | None = None, ring: Ring | None = None) -> AccessTokens:
    return AccessTokens(ring or Ring(), "https://fhir.example", clock or Clock())  # type: ignore[arg-type]


def minted(key: str = "acme", **more: Any) -> str:
    given = {
        "base_url": "https://fhir.example",
        "tenant": "acme",
        "subject": "Practitioner/7",
        "client_id": "app",
        "scope": "openid patient/*.rs",
        "now": Clock.now,
    }
    return issue(KEYS[key], **{**given, **more})


async def test_a_token_stands_for_a_caller() -> None:
    caller = await tokens().caller(minted(patient="p1"))
    assert (caller.tenant, caller.subject, caller.client_id, caller.patient) == ("acme", "Practitioner/7", "app", "p1")
    assert [str(scope) for scope in caller.scopes] == ["patient/*.rs"]
    assert caller.scopes[0].permits("Patient", Right.READ)
    assert caller.token_id


async def test_a_token_is_verified_once_a_minute() -> None:
    ring, clock = Ring(), Clock()
    known, token = tokens(clock, ring), minted()
    first = await known.caller(token)
    clock.now += 59
    assert await known.caller(token) is first
    assert ring.asked == 1
    clock.now += 2
    assert await known.caller(token) is not first
    assert ring.asked == 2


async def test_a_remembered_token_expires_to_the_second() -> None:
    clock = Clock()
    known, token = tokens(clock), minted(ttl=30)
    await known.caller(token)
    clock.now += 30
    with pytest.raises(ExpiredToken):
        await known.caller(token)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.auth.tokens.REMEMBERED_MOST", 3)
    known = tokens()
    for _ in range(5):
        await known.caller(minted())
    assert len(known._known) == 3
    assert REMEMBERED_MOST > 1000


@pytest.mark.parametrize(
    "more",
    [
        {"key": "other"},
        {"tenant": "nobody"},
        {"tenant": "other"},
        {"base_url": "https://elsewhere.example"},
        {"patient": "../p1"},
        {"ttl": 10**9},
    ],
    ids=str,
)
async def test_a_token_of_elsewhere_stands_for_nobody(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await tokens().caller(minted(**more))


async def test_garbage_stands_for_nobody() -> None:
    for garbage in ("", ".", "..", "a.b.c", "\udcff.b.c", "é.é.é"):
        with pytest.raises(InvalidToken):
            await tokens().caller(garbage)


def test_a_token_is_not_issued_for_scopes_that_mean_nothing() -> None:
    with pytest.raises(InvalidScope):
        minted(scope="patient/Foo.r")


def test_issuer_and_audience_are_places_of_the_tenant() -> None:
    assert issuer("https://fhir.example", "acme") == "https://fhir.example/auth/acme"
    assert audience("https://fhir.example", "acme") == "https://fhir.example/fhir/acme"
