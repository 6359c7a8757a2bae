"""Two processes on one database: what one gives or ends, the other knows within a second."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from bench.processes import free_port
from fhir_server.store.revocations import FRESH
from tests.auth.conftest import BASE, CALLBACK, VERIFIER
from tests.auth.site import Site, assertion
from tests.auth.site import site as running
from tests.cli.test_serve import COMMAND, wait_until_ready


@dataclass
class Pair:
    """The application in this process, and the address of the same in another."""

    here: Site
    there: str

    async def asked(self, method: str, path: str, **more: object) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.there) as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    async def read_there(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await self.asked("GET", "/fhir/acme/Patient/p1", headers=headers)).status_code

    async def refused_there(self, token: str) -> bool:
        """Once the other process has to have looked: well within a second."""
        await asyncio.sleep(FRESH + 0.1)
        return await self.read_there(token) == 401


@pytest.fixture(scope="module")
async def pair(mongo_url: str, database_name: str) -> AsyncIterator[Pair]:
    async for here in running(mongo_url, database_name, base_url=BASE):
        port = free_port()
        words = ["serve", "--port", str(port), "--base-url", BASE, "--mongo-url", mongo_url]
        environment = {**os.environ, "FHIR_DATABASE": database_name}
        process = subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, env=environment)  # noqa: ASYNC220
        try:
            await asyncio.to_thread(wait_until_ready, process, port)
            yield Pair(here, f"http://127.0.0.1:{port}")
        finally:
            process.kill()
            process.communicate()


async def test_o11_of_many_exchanges_in_two_processes_one_succeeds(pair: Pair) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": await pair.here.code(),
        "client_id": "app",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    async with httpx.AsyncClient(base_url=pair.there) as client:
        there = [client.post("/auth/acme/token", data=form) for _ in range(50)]
        here = [pair.here.post(**form) for _ in range(50)]
        answers = await asyncio.gather(*there, *here)
    assert [each.status_code for each in answers].count(200) == 1
    assert {each.status_code for each in answers} == {200, 400}


async def test_o10_a_code_used_twice_ends_its_tokens_in_every_process(pair: Pair) -> None:
    code = await pair.here.code()
    token = (await pair.here.redeemed(code)).json()["access_token"]
    assert await pair.read_there(token) == 200
    assert (await pair.here.redeemed(code)).is_error
    assert await pair.refused_there(token)


@pytest.mark.parametrize("kind", ["token", "grant", "user", "client"])
async def test_what_is_revoked_is_refused_in_every_process(pair: Pair, kind: str) -> None:
    given = await pair.here.tokens(who={"user_id": f"u-{kind}"})
    token = given["access_token"]
    assert await pair.read_there(token) == 200
    revocations = pair.here.store.revocations
    if kind in ("token", "grant"):
        shown = given["access_token" if kind == "token" else "refresh_token"]
        assert (await pair.here.post("revoke", token=shown, client_id="app")).status_code == 200
    else:
        await revocations.revoke("acme", kind, "app" if kind == "client" else f"u-{kind}")  # type: ignore[arg-type]
    assert await pair.refused_there(token)


async def test_o34_an_assertion_is_good_once_in_all_processes(pair: Pair) -> None:
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(),
    }
    first = await pair.asked("POST", "/auth/acme/token", data=form)
    assert first.status_code == 200, first.text
    assert (await pair.here.post(**form)).status_code == 401
    assert (await pair.asked("POST", "/auth/acme/token", data=form)).status_code == 401
