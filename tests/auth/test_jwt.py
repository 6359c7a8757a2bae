"""Every forged token of the table is refused, and a good one is not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, hmac
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from fhir_server.auth.jwt import (
    ACCESS_TOKEN,
    ID_TOKEN,
    MAX_BYTES,
    ExpiredToken,
    InvalidToken,
    Purpose,
    opened,
    verified,
)

NOW = 1_700_000_000
ISSUER, AUDIENCE = "http://127.0.0.1:8080/auth/acme", "http://127.0.0.1:8080/fhir/acme"
OWN = ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES384", "use": "sig"})
KEYS: dict[str, ECKey | RSAKey] = {
    "own": OWN,
    "other": ECKey.generate_key("P-384"),
    "p256": ECKey.generate_key("P-256"),
    "rsa": RSAKey.generate_key(2048, auto_kid=False),
}
SECRETS = {
    "empty": b"",
    "public": OWN.as_pem(private=False),
    "spaced": b" " + OWN.as_pem(private=False),
    "jwk": json.dumps(OWN.as_dict(private=False)).encode(),
    "rsa_public": KEYS["rsa"].as_pem(private=False),
}
HEADER = {"alg": "ES384", "kid": "k1", "typ": "at+jwt"}
CLAIMS = {
    "iss": ISSUER,
    "sub": "s",
    "aud": AUDIENCE,
    "exp": NOW + 900,
    "iat": NOW,
    "jti": "j",
    "client_id": "c",
    "scope": "system/*.rs",
    "tenant": "acme",
}
PURPOSES = {
    "access token": (ACCESS_TOKEN, {}, {}),
    "identity token": (ID_TOKEN, {"typ": "JWT"}, {"nonce": "n"}),
    "client assertion": (Purpose(types=frozenset({"jwt"})), {"typ": "JWT"}, {"exp": NOW + 240}),
}
"""What verifies, and what makes a good token good for it."""
ENCRYPTED = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0"
CASES = yaml.safe_load((Path(__file__).parent / "forged_jwt.yaml").read_text())


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


FILLED_IN = {"LONG": "x" * 1_000_000, "OTHER JWK": KEYS["other"].as_dict(private=False)}
"""What stands in the table for what is too long for it, or different in every run."""


def merged(good: dict[str, Any], given: dict[str, Any]) -> str:
    given = {name: FILLED_IN.get(value, value) if isinstance(value, str) else value for name, value in given.items()}
    return json.dumps({name: value for name, value in {**good, **given}.items() if value is not None})


def signature(key: str, content: bytes) -> bytes:
    if key == "none":
        return b""
    if key in SECRETS:
        mac = hmac.HMAC(SECRETS[key], hashes.SHA256())
        mac.update(content)
        return mac.finalize()
    algorithm = {"p256": "ES256", "rsa": "RS384"}.get(key, "ES384")
    return jws.JWSRegistry.algorithms[algorithm].sign(content, KEYS[key])


def token(case: dict[str, Any], purpose: str = "access token") -> str:
    _, header_of, claims_of = PURPOSES[purpose]
    header = case.get("raw_header") or merged({**HEADER, **header_of}, case.get("header", {}))
    claims = case.get("raw_claims") or merged({**CLAIMS, **claims_of}, case.get("claims", {}))
    content = f"{encoded(header.encode())}.{encoded(claims.encode())}"
    whole = f"{content}.{encoded(signature(case.get('key', 'own'), content.encode()))}"
    return CHANGES[case["change"]](whole) if "change" in case else whole


def flattened(whole: str) -> str:
    header, claims, signed = whole.split(".")
    return json.dumps({"protected": header, "payload": claims, "signature": signed})


def general(whole: str) -> str:
    header, claims, signed = whole.split(".")
    return json.dumps({"payload": claims, "signatures": [{"protected": header, "signature": signed}]})


def loose_bit(whole: str) -> str:
    """The claims spelt in another way that a lenient decoder reads as the same bytes."""
    header, claims, signed = whole.split(".")
    return f"{header}.{claims}{'' if len(claims) % 4 == 0 else 'A'}.{signed}A"


CHANGES = {
    "flattened": flattened,
    "general": general,
    "no_signatures": lambda whole: json.dumps({"payload": whole.split(".")[1], "signatures": []}),
    "zero_signature": lambda whole: whole.rpartition(".")[0] + "." + encoded(bytes(96)),
    "truncated": lambda whole: whole.rpartition(".")[0] + "." + whole.rpartition(".")[2][:64],
    "encrypted": lambda whole: f"{ENCRYPTED}..AAAA.{encoded(whole.encode())}.AAAA",
    "garbage": lambda whole: whole + "!!garbage",
    "more": lambda whole: whole + "AAAA",
    "padding": lambda whole: whole + "==",
    "loose_bit": loose_bit,
    "words": lambda whole: "not a token",
    "nothing": lambda whole: "",
}


def verify(text: str, now: float = NOW, purpose: str = "access token") -> Any:
    return verified(text, PURPOSES[purpose][0], {"k1": OWN}, issuer=ISSUER, audience=AUDIENCE, now=now)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_good_token_is_accepted(purpose: str) -> None:
    assert verify(token({}, purpose), purpose=purpose)["jti"] == "j"


def test_the_type_may_be_written_out() -> None:
    assert verify(token({"header": {"typ": "application/AT+JWT"}}))["jti"] == "j"


def test_a_token_may_be_as_long_as_the_limit_and_no_longer() -> None:
    def filled(length: int) -> str:
        return token({"claims": {"filler": "x" * length}})

    about = (MAX_BYTES - len(filled(0))) * 3 // 4
    longest = max((each for each in map(filled, range(about - 3, about + 1)) if len(each) <= MAX_BYTES), key=len)
    verify(longest)
    with pytest.raises(InvalidToken, match="longer than"):
        verify(filled(about + 3))


def test_a_good_token_of_an_rsa_key_is_accepted() -> None:
    rsa = RSAKey.import_key(KEYS["rsa"].as_dict(private=True), {"alg": "RS384", "kid": "r1"})
    text = token({"header": {"alg": "RS384", "kid": "r1"}, "key": "rsa"})
    assert verified(text, ACCESS_TOKEN, {"r1": rsa}, issuer=ISSUER, audience=AUDIENCE, now=NOW)["sub"] == "s"


FORGED = [(purpose, case) for case in CASES for purpose in case.get("for", PURPOSES)]


@pytest.mark.parametrize(("purpose", "case"), FORGED, ids=[f"{purpose}: {case['title']}" for purpose, case in FORGED])
def test_a_forged_token_is_refused(purpose: str, case: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken) as refused:
        verify(token(case, purpose), purpose=purpose)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("position", range(0, 400, 7))
def test_no_character_can_be_changed(position: int) -> None:
    good = token({})
    changed = good[:position] + ("A" if good[position] != "A" else "B") + good[position + 1 :]
    with pytest.raises(InvalidToken):
        verify(changed)


def test_expiry_is_told_apart() -> None:
    with pytest.raises(ExpiredToken):
        verify(token({}), now=NOW + 900)
    verify(token({}), now=NOW + 899)


def test_an_unverified_token_can_be_opened_to_find_its_keys() -> None:
    assert opened(token({"key": "other"}))[1]["tenant"] == "acme"
