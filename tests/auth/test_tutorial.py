"""The backend service of docs/smart.md, as it is written there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.access.caller import Caller
from fhir_server.auth import registration
from tests.auth.site import Site
from tests.auth.site import site as running
from tests.conftest import ROOT

SCRIPTS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/smart.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
async def site(mongo_url: str, database_name: str) -> AsyncIterator[Site]:
    async for each in running(mongo_url, database_name):
        yield each


async def test_the_backend_service_of_the_tutorial_works(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_keys, nightly = SCRIPTS
    monkeypatch.chdir(tmp_path)
    _run(make_keys)
    keys = json.loads((tmp_path / "public.json").read_bytes())
    made = registration.new(
        "riverside", "Nightly report", kind="key", scopes="system/*.rs", client_id="nightly", backend=True, jwks=keys
    )
    tenant = await site.store.tenants.create("riverside")
    await site.store.clients.add(made.client)
    caller = Caller.system("riverside", "tests")
    await site.store.repository(tenant, caller).update({"resourceType": "Patient", "id": "p1"})
    loop = asyncio.get_running_loop()

    def through(method: str) -> Callable[..., httpx.Response]:
        def asked(url: str, **more: Any) -> httpx.Response:
            return asyncio.run_coroutine_threadsafe(site.client.request(method, url, **more), loop).result()

        return asked

    monkeypatch.setattr(httpx, "post", through("POST"))
    monkeypatch.setattr(httpx, "get", through("GET"))
    await asyncio.to_thread(_run, nightly)
    assert capsys.readouterr().out == "1\n"


def _run(script: str) -> None:
    exec(compile(script, "docs/smart.md", "exec"), {"__name__": "__main__"})
