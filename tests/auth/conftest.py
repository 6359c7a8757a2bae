"""A store with two tenants, a client of each kind, and a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.auth.authorization import Authorizations
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.person import Person
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store, opened
from fhir_server.store.users import User

BASE = "http://127.0.0.1:8080"
CALLBACK = "https://app.example/callback"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
"""The example of RFC 7636, appendix B."""
SCOPES = "openid fhirUser launch launch/patient launch/encounter offline_access online_access patient/*.rs user/*.rs"


def client(client_id: str = "app", **more: Any) -> Client:
    given = {
        "tenant": "acme",
        "client_id": client_id,
        "name": "An App",
        "kind": "public",
        "scopes": SCOPES,
        "redirect_uris": (CALLBACK,),
        "origins": ("https://app.example",),
    }
    return Client(**{**given, **more})


def person(**more: Any) -> Person:
    given = {
        "tenant": "acme",
        "user_id": "u1",
        "username": "ann",
        "name": "Ann Physician",
        "fhir_user": "Practitioner/7",
        "roles": ("physician",),
        "patients": None,
        "session_id": "s1",
        "authenticated_at": datetime(2026, 1, 1, tzinfo=UTC),
        "methods": ("pwd", "otp"),
    }
    return Person(**{**given, **more})


def asking(**more: str | None) -> list[tuple[str, str]]:
    """A good request, with what a test wants otherwise; None leaves a parameter out."""
    given: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": CALLBACK,
        "scope": "openid fhirUser launch/patient patient/*.rs",
        "state": "st",
        "aud": f"{BASE}/fhir/acme",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return [(name, value) for name, value in {**given, **more}.items() if value is not None]


async def _signed_in(store: Store) -> None:
    """The sessions of `person()`, which began long ago and are not over."""
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    user = await store.users.add(User("acme", "ann", "Ann Physician", "u1", created=long_ago, changed=long_ago))
    session, _ = await store.sessions.begin(user, ("pwd", "otp"), timedelta(days=1), None, long_ago)
    document = await store.common.sessions.find_one({"session_id": session.session_id})
    assert document is not None
    for name in ("s1", "s-online"):
        await store.common.sessions.insert_one({**document, "_id": f"acme|{name}", "session_id": name})


async def furnished(store: Store) -> None:
    """Two tenants; a public client and a patient of the first."""
    for name in ("acme", "other"):
        await store.tenants.create(name)
    await store.clients.add(client())
    await store.clients.add(client(tenant="other"))
    acme = await store.tenants.latest("acme")
    repository = store.repository(acme, Caller.system("acme", "tests"))
    await _signed_in(store)
    for resource_id in ("p1", "p2"):
        await repository.update({"resourceType": "Patient", "id": resource_id})


@pytest.fixture(scope="module")
async def house(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        await furnished(found)
        yield found


@pytest.fixture
def authorizations(house: Store) -> Authorizations:
    return Authorizations(house, Keyring(house.tenants, house.keys), BASE)
