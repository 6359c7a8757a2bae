"""Clients as they are registered: checked the same way whoever registers them.  RFC 7591 §2"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from fhir_server.access.scopes import InvalidScope, Scopes
from fhir_server.auth.client_keys import read
from fhir_server.auth.grants import METHODS_OF
from fhir_server.auth.jwt import InvalidToken
from fhir_server.auth.redirects import origin, registrable
from fhir_server.auth.server import digest
from fhir_server.store.clients import Client, Kind

CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}\Z")
BY_PEOPLE = ("authorization_code", "refresh_token")
BY_ITSELF = ("client_credentials",)


class Unregistrable(ValueError):
    """What cannot be registered as it is; the message says why. `error` is that of RFC 7591 §3.2.2"""

    def __init__(self, description: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(description)
        self.error = error


@dataclass(frozen=True, slots=True)
class Registered:
    """A client and its secret, which is said once and kept nowhere."""

    client: Client
    secret: str | None = None


def new(
    tenant: str,
    name: str,
    *,
    kind: Kind,
    scopes: str,
    redirect_uris: Sequence[str] = (),
    client_id: str | None = None,
    backend: bool = False,
    launch_url: str | None = None,
    origins: Sequence[str] = (),
    jwks: Mapping[str, Any] | None = None,
    jwks_uri: str | None = None,
    approved: bool = True,
) -> Registered:
    """A client to be stored; raises `Unregistrable`."""
    given = _checked_id(client_id or str(uuid4()))
    _check_scopes(scopes)
    _check_addresses(redirect_uris, launch_url, backend=backend)
    _check_keys(kind, jwks, jwks_uri, backend=backend)
    secret = new_secret() if kind == "secret" else None
    client = Client(
        tenant=tenant,
        client_id=given,
        name=name or given,
        kind=kind,
        scopes=" ".join(dict.fromkeys(scopes.split())),
        grants=BY_ITSELF if backend else BY_PEOPLE,
        redirect_uris=tuple(redirect_uris),
        launch_url=launch_url,
        origins=_pages(kind, origins, redirect_uris),
        secret=digest(secret) if secret else None,
        jwks=jwks,
        jwks_uri=jwks_uri,
        approved=approved,
    )
    return Registered(client, secret)


def _pages(kind: Kind, origins: Sequence[str], redirect_uris: Sequence[str]) -> tuple[str, ...]:
    """The scripts of a public client are where it is answered."""
    found = [origin(each) for each in redirect_uris] if kind == "public" else []
    return tuple(dict.fromkeys([*origins, *(each for each in found if each is not None)]))


def _checked_id(client_id: str) -> str:
    if not CLIENT_ID.match(client_id):
        raise Unregistrable(f"'{client_id}' is no id for a client: up to 128 letters, digits and '._~-'.")
    return client_id


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def _check_scopes(scopes: str) -> None:
    try:
        parsed = Scopes.parse(scopes)
    except InvalidScope as problem:
        raise Unregistrable(str(problem)) from problem
    if not parsed.resources and not parsed.plain:
        raise Unregistrable("A client needs scopes, such as 'launch/patient patient/*.rs'.")


def _check_addresses(redirect_uris: Sequence[str], launch_url: str | None, *, backend: bool) -> None:
    if bool(redirect_uris) == backend:
        raise Unregistrable(
            "A client needs an address to be answered at, except one that acts for nobody.", "invalid_redirect_uri"
        )
    for uri in redirect_uris:
        if not registrable(uri):
            raise Unregistrable(
                f"'{uri}' cannot be an address to answer at: https, http on this machine, or a scheme like "
                "'org.example.app', without fragment.",
                "invalid_redirect_uri",
            )
    if launch_url is not None and not registrable(launch_url):
        raise Unregistrable(f"'{launch_url}' cannot be the address of a launch.")


def _check_keys(kind: Kind, jwks: Mapping[str, Any] | None, jwks_uri: str | None, *, backend: bool) -> None:
    if backend and kind != "key":
        raise Unregistrable("A client that acts for nobody proves with a key who it is.")
    if (kind == "key") != ((jwks is None) != (jwks_uri is None)):
        raise Unregistrable("A client with a key has either 'jwks' or 'jwks_uri'; no other client has one of them.")
    if jwks_uri is not None and urlsplit(jwks_uri).scheme not in ("https", "http"):
        raise Unregistrable(f"'{jwks_uri}' cannot be the address of a key set: it is not https.")
    if jwks is not None:
        try:
            usable = read(jwks)
        except InvalidToken as problem:
            raise Unregistrable(f"The key set cannot be used: {problem}.") from problem
        if not usable:
            raise Unregistrable("The key set has no public key with a 'kid' for ES384 (P-384) or RS384 (RSA).")


KINDS: Mapping[str, Kind] = {method: kind for kind, methods in METHODS_OF.items() for method in methods}


def from_metadata(tenant: str, said: Mapping[str, Any], *, approved: bool) -> Registered:
    """What an application says of itself. RFC 7591 §2"""
    method = said.get("token_endpoint_auth_method", "client_secret_basic")
    grants = said.get("grant_types", ["authorization_code"])
    if method not in KINDS:
        raise Unregistrable(f"token_endpoint_auth_method can be {', '.join(KINDS)}.")
    if not isinstance(grants, list) or not {*BY_PEOPLE, *BY_ITSELF}.issuperset(map(str, grants)):
        raise Unregistrable(f"grant_types can be {', '.join((*BY_PEOPLE, *BY_ITSELF))}.")
    if said.get("response_types", ["code"]) not in (["code"], []):
        raise Unregistrable("response_types can be ['code'].")
    jwks = said.get("jwks")
    if jwks is not None and not _is_key_set(jwks):
        raise Unregistrable("jwks is not a set of keys.")
    return new(
        tenant,
        _text(said, "client_name") or "",
        kind=KINDS[method],
        scopes=_text(said, "scope") or "",
        redirect_uris=_texts(said, "redirect_uris"),
        backend=grants == list(BY_ITSELF),
        launch_url=_text(said, "initiate_login_uri"),
        jwks=jwks,
        jwks_uri=_text(said, "jwks_uri"),
        approved=approved,
    )


def _is_key_set(jwks: object) -> bool:
    """Members of keys are texts, or lists of texts."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or len(keys) > 50 or not all(isinstance(each, dict) for each in keys):
        return False
    values = [value for each in keys for value in each.values()]
    return all(isinstance(one, str) for value in values for one in (value if isinstance(value, list) else [value]))


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > 8192):
        raise Unregistrable(f"{name} is not a text.")
    return value


def _texts(said: Mapping[str, Any], name: str) -> list[str]:
    value = said.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or len(value) > 50:
        raise Unregistrable(f"{name} is not a list of texts.")
    return value
