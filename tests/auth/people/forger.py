"""A provider elsewhere that answers whatever a test wants, as a transport below the fetching of the server."""

from __future__ import annotations

import json
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

ISSUER = "http://127.0.0.1:9000/them"
SECRET = "a secret between us: ünd + them"
KEYS: dict[str, RSAKey | ECKey] = {
    "rsa": RSAKey.generate_key(2048, {"kid": "r", "use": "sig"}),
    "pss": RSAKey.generate_key(2048, {"kid": "s", "alg": "PS256", "use": "sig"}),
    "p256": ECKey.generate_key("P-256", {"kid": "e", "use": "sig"}),
    "p384": ECKey.generate_key("P-384", {"kid": "f", "alg": "ES384", "use": "sig"}),
}
STRANGER = RSAKey.generate_key(2048, {"kid": "r"})
ALGORITHMS = {"rsa": "RS256", "pss": "PS256", "p256": "ES256", "p384": "ES384", "stranger": "RS256"}
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "end_session_endpoint": f"{ISSUER}/leave",
    "authorization_response_iss_parameter_supported": True,
}


def without_nothing(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


@dataclass
class Forger(httpx.AsyncBaseTransport):
    """Of one sign-in: what was asked is in `asked`, what its token endpoint got in `redeemed`."""

    key: str = "rsa"
    header: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    redeemed: list[dict[str, str]] = field(default_factory=list)
    sub: str = "sub-1"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place = request.url.path.rpartition("/")[2]
        if place == "openid-configuration":
            return httpx.Response(200, json=without_nothing({**DOCUMENT, **self.document}))
        if place == "jwks":
            return httpx.Response(200, json={"keys": [each.as_dict(private=False) for each in KEYS.values()]})
        form = dict(parse_qsl((await request.aread()).decode()))
        self.redeemed.append({**form, **_basic(request)})
        return self._tokens(form)

    def went(self, address: str) -> str:
        """What the browser brings back of where it was sent to."""
        self.asked = dict(parse_qsl(urlsplit(address).query))
        given = {"code": "c1", "state": self.asked["state"], "iss": ISSUER, **self.answer}
        return f"provider-answer?{httpx.QueryParams(without_nothing(given))}"

    def _tokens(self, form: Mapping[str, str]) -> httpx.Response:
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if challenge != self.asked["code_challenge"] or len(self.redeemed) > 1:
            return httpx.Response(400, json={"error": "invalid_grant"})
        found = {"access_token": "x", "token_type": "Bearer"}
        return httpx.Response(200, json=found if self.key == "absent" else {**found, "id_token": self._token()})

    def _token(self) -> str:
        now = int(time.time())
        said = {"iss": ISSUER, "sub": self.sub, "aud": "us", "nonce": self.asked["nonce"], "iat": 0, "exp": 3600}
        said.update(self.claims)
        for name in ("iat", "exp", "auth_time"):
            if isinstance(said.get(name), int):
                said[name] += now
        if said.get("sub") == "LONG":
            said["sub"] = "x" * 256
        return self._signed(json.dumps(without_nothing(said)).encode())

    def _signed(self, payload: bytes) -> str:
        if self.key == "garbage":
            return "not.a.token"
        if self.key == "none":
            head = urlsafe_b64encode(b'{"alg":"none","kid":"r","typ":"JWT"}').decode().rstrip("=")
            return f"{head}.{urlsafe_b64encode(payload).decode().rstrip('=')}."
        if self.key in ("secret", "public"):
            raw = SECRET.encode() if self.key == "secret" else KEYS["rsa"].as_pem(private=False)
            head = {"alg": "HS256", "kid": "r", "typ": "JWT"}
            return jws.serialize_compact(head, payload, OctKey.import_key(raw), algorithms=["HS256"])
        key = STRANGER if self.key == "stranger" else KEYS[self.key]
        algorithm = ALGORITHMS[self.key]
        head = without_nothing({"alg": algorithm, "kid": key.kid, "typ": "JWT", **self.header})
        known = {name: head.pop(name) for name in ("crit", "jwk", "jku") if name in head}
        token = jws.serialize_compact(head, payload, key, algorithms=[algorithm])
        return _with(token, {**head, **known}) if known else token


def _with(token: str, header: Mapping[str, Any]) -> str:
    """A header that the library would not write; the signature is looked at after it."""
    raw = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return ".".join([raw, *token.split(".")[1:]])


def _basic(request: httpx.Request) -> dict[str, str]:
    scheme, _, words = request.headers.get("authorization", "").partition(" ")
    return {"basic": b64decode(words).decode()} if scheme == "Basic" else {}
