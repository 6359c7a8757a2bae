from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from fhir_server.app import build
from fhir_server.settings import Settings
from tests.conformance.site import URL, Site

LARGEST = 64 * 1024 * 1024
"""One of the official examples has 35 MB."""


@pytest.fixture(scope="module")
async def site(mongo_url: str, database_name: str) -> AsyncIterator[Site]:
    """The server as it is served, without a socket; it records nothing: tables know all AuditEvents that there are."""
    async for each in served(mongo_url, database_name, audit=False):
        yield each


async def served(mongo_url: str, database_name: str, *, audit: bool) -> AsyncIterator[Site]:
    settings = Settings(base_url=URL, mongo_url=mongo_url, database=database_name, max_body_bytes=LARGEST, audit=audit)
    app = build(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=URL) as client,
    ):
        yield Site(app, client)
