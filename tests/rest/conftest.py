"""The whole application on a real MongoDB, with two tenants and whatever tokens a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fhir_server.app import build
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.tokens import issue
from fhir_server.settings import Settings

MINE, OTHER = "mine", "other"


@dataclass
class House:
    """The application, running, and one client of it."""

    app: FastAPI
    client: httpx.AsyncClient

    async def token(self, scope: str = "system/*.cruds", tenant: str = MINE, **more: Any) -> str:
        keyring: Keyring = self.app.state.keyring
        given = {"base_url": "", "tenant": tenant, "subject": "s", "client_id": "tests", "scope": scope}
        return issue(await keyring.signing(tenant), **{**given, **more})

    async def ask(
        self,
        method: str,
        path: str,
        *,
        scope: str = "system/*.cruds",
        tenant: str = MINE,
        patient: str | None = None,
        **more: Any,
    ) -> httpx.Response:
        """A request to a FHIR base of `mine` with a token of `tenant`."""
        token = await self.token(scope, tenant, patient=patient)
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        return await self.client.request(method, f"/fhir/{MINE}/{path}", headers=headers, **more)


async def house(settings: Settings) -> AsyncIterator[House]:
    app = build(settings)
    async with app.router.lifespan_context(app):
        for name in (MINE, OTHER):
            await app.state.store.tenants.create(name)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            yield House(app, client)


@pytest.fixture(scope="module")
async def served(mongo_url: str, database_name: str) -> AsyncIterator[House]:
    settings = Settings(
        mongo_url=mongo_url, database=database_name, max_body_bytes=100_000, cors_origins={"https://app.example"}
    )
    async for each in house(settings):
        yield each


def refusal(response: httpx.Response) -> tuple[int, str]:
    """The status and the issue code; a refusal is always an OperationOutcome."""
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome", outcome
    assert response.headers["content-type"].startswith("application/fhir+json")
    return response.status_code, outcome["issue"][0]["code"]
