"""An authorization request, checked before anybody is asked to sign in.  RFC 6749 §4.1.1, RFC 7636, RFC 9700 §2.1

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#request-4
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.access.scopes import InvalidScope
from fhir_server.auth.narrowing import within
from fhir_server.auth.redirects import answered, permitted
from fhir_server.auth.refusal import Refused
from fhir_server.auth.tokens import audience, issuer
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store

LONGEST_STATE = 4096
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
"""A SHA-256 digest in base64url. RFC 7636 §4.2"""
PROMPTS = frozenset({"none", "login", "consent", "select_account"})

UNKNOWN_CLIENT = "The application that sent you here is not registered with this server, or is switched off."
UNKNOWN_ADDRESS = "The application asked to be answered at an address that is not registered for it."

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request that is as it should be asks for."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    challenge: str
    nonce: str | None = None
    prompt: str | None = None
    max_age: int | None = None
    launch: str | None = None
    launched: Mapping[str, Any] = field(default_factory=dict)


async def asked(store: Store, base_url: str, tenant: str, params: Iterable[tuple[str, str]]) -> Asked:
    """Until it is certain whose address the answer goes to, refusals are shown to the person instead."""
    pairs = list(params)
    given = dict(pairs)
    repeated = {name for name, number in Counter(name for name, _ in pairs).items() if number > 1}
    client = None if "client_id" in repeated else await store.clients.get(tenant, given.get("client_id", ""))
    if client is None or not client.active:
        raise Refused("unauthorized_client", UNKNOWN_CLIENT)
    redirect_uri = given.get("redirect_uri", "")
    if "redirect_uri" in repeated or not permitted(redirect_uri, client.redirect_uris):
        raise Refused("invalid_request", UNKNOWN_ADDRESS)
    try:
        _check(given, repeated, client, audience(base_url, tenant))
        launched = await _launched(store, client, given)
        return _read(given, client, launched)
    except Refused as problem:
        state = {"state": given["state"]} if _is_state(given.get("state")) else {}
        told = {"error": problem.error, "error_description": problem.description}
        location = answered(redirect_uri, **told, **state, iss=issuer(base_url, tenant))
        raise Refused(problem.error, problem.description, location) from problem


def _check(given: Parameters, repeated: set[str], client: Client, base: str) -> None:
    # RFC 6749 §3.1: no parameter may be there twice.
    if repeated:
        raise Refused("invalid_request", f"The parameter '{min(repeated)}' is there more than once.")
    for name, (right, error, description) in _RULES.items():
        if not right(given.get(name)):
            raise Refused(error, description)
    # SMART: without this a server elsewhere could ask for tokens that are good here.
    if given.get("aud", "").removesuffix("/") != base:
        raise Refused("invalid_request", f"The parameter 'aud' must be the FHIR base of this server: {base}")
    if not client.may("authorization_code"):
        raise Refused("unauthorized_client", "This client is not registered for the grant 'authorization_code'.")


def _is_state(value: str | None) -> bool:
    return value is not None and 0 < len(value) <= LONGEST_STATE


def _is_absent(value: str | None) -> bool:
    return value is None


_RULES: Mapping[str, tuple[Callable[[str | None], bool], str, str]] = {
    "request": (_is_absent, "request_not_supported", "Request objects are not supported."),
    "request_uri": (_is_absent, "request_uri_not_supported", "Request objects are not supported."),
    "response_type": (
        lambda value: value == "code",
        "unsupported_response_type",
        "The parameter 'response_type' must be 'code'.",
    ),
    "response_mode": (
        lambda value: value in (None, "query"),
        "invalid_request",
        "The parameter 'response_mode' can only be 'query'.",
    ),
    "state": (
        _is_state,
        "invalid_request",
        f"The parameter 'state' is missing or has more than {LONGEST_STATE} characters.",
    ),
    "code_challenge": (
        lambda value: bool(CHALLENGE.match(value or "")),
        "invalid_request",
        "The parameter 'code_challenge' is missing, or is not a SHA-256 digest in base64url.",
    ),
    "code_challenge_method": (
        lambda value: value == "S256",
        "invalid_request",
        "The parameter 'code_challenge_method' must be 'S256'.",
    ),
    "prompt": (
        lambda value: value is None or PROMPTS.issuperset(value.split()),
        "invalid_request",
        f"The parameter 'prompt' can be {', '.join(sorted(PROMPTS))}.",
    ),
    "max_age": (
        lambda value: value is None or (value.isascii() and value.isdigit() and len(value) < 10),
        "invalid_request",
        "The parameter 'max_age' must be a number of seconds.",
    ),
}
"""In this order: what a parameter must be, and what is answered where it is not."""


async def _launched(store: Store, client: Client, given: Parameters) -> Mapping[str, Any]:
    """What the EHR said of the launch that is named. It is taken when a person has decided."""
    if "launch" not in given:
        return {}
    launched = await store.handles.read(client.tenant, "launch", given["launch"])
    if launched is None or launched.get("client_id") not in (None, client.client_id):
        raise Refused("invalid_request", "The parameter 'launch' is not that of a launch of this app, or is too old.")
    return {name: value for name, value in launched.items() if name != "client_id"}


def _read(given: Parameters, client: Client, launched: Mapping[str, Any]) -> Asked:
    return Asked(
        client=client,
        redirect_uri=given["redirect_uri"],
        scopes=_scopes(given, client),
        state=given["state"],
        challenge=given["code_challenge"],
        nonce=given.get("nonce"),
        prompt=given.get("prompt"),
        max_age=int(given["max_age"]) if "max_age" in given else None,
        launch=given.get("launch"),
        launched=launched,
    )


def _scopes(given: Parameters, client: Client) -> tuple[str, ...]:
    """`system/` scopes are for clients that act for nobody; `launch` means something in a launch only."""
    words = given.get("scope", "").split()
    unfit = {"launch"} - given.keys()
    try:
        found = within(words, client.scopes)
    except InvalidScope as problem:
        raise Refused("invalid_scope", str(problem)) from problem
    found = tuple(each for each in found if each not in unfit and not each.startswith("system/"))
    if not found:
        raise Refused("invalid_scope", "This client is registered for none of the scopes that it asks for.")
    return found
