"""Readers and writers on an encrypted tenant, while its keys are replaced by processes that are killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.jobs import reencrypt
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from fhir_server.store.tenants import Tenant

CHUNK = 500
MOST = 5_000
"""Versions that are sealed anew before a kill."""


@dataclass
class Traffic:
    """What readers and writers have seen; each writer has resources of its own, and knows what is in them."""

    store: Store
    tenant: Tenant
    names: list[tuple[str, str]]
    writers: int
    pause: float
    counted: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    written: dict[tuple[str, str], str] = field(default_factory=dict)
    longest: float = 0.0

    @property
    def repository(self) -> Repository:
        return self.store.repository(self.tenant, Caller.system(self.tenant.name, "test"))

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._go(number)) for number in range(self.writers)]
        try:
            yield
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def readable(self) -> int:
        """How many of all can be read, and say what was written last."""
        found = 0
        for start in range(0, len(self.names), CHUNK):
            versions = await self.repository.several(self.names[start : start + CHUNK])
            texts = {name: text_of(json.trusted(version.body)) for name, version in versions.items()}
            found += sum(text == self.written.get(name, "first") for name, text in texts.items())
        return found

    async def _go(self, number: int) -> None:
        chance, mine = random.Random(number), self.names[number :: self.writers]
        for step in range(10**9):
            await self._done("writes", self._write(chance.choice(mine), f"{number}-{step}"))
            for _ in range(4):
                await self._done("reads", self._read(chance.choice(mine), chance.choice(self.names)))
            await self._done("reads of versions", self._earlier(chance.choice(self.names)))
            await asyncio.sleep(self.pause)

    async def _done(self, what: str, work: Any) -> None:
        began = monotonic()
        try:
            await work
        except Exception as problem:  # Whatever it is, nobody may see it.
            self.failures.append(f"{what}: {problem!r}")
        self.counted[what] += 1
        self.longest = max(self.longest, monotonic() - began)

    async def _write(self, name: tuple[str, str], text: str) -> None:
        await self.repository.update(resource(*name, text))
        self.written[name] = text

    async def _read(self, mine: tuple[str, str], other: tuple[str, str]) -> None:
        """One's own is what one has written last; anybody else's is whole."""
        found = json.trusted((await self.repository.current(*mine)).body)
        assert mine not in self.written or text_of(found) == self.written[mine], f"{mine} is not what was written"
        assert text_of(json.trusted((await self.repository.current(*other)).body))

    async def _earlier(self, name: tuple[str, str]) -> None:
        for version in await self.repository.at(*name, "1"), await self.repository.current(*name):
            assert text_of(json.trusted(version.body))


def resource(resource_type: str, resource_id: str, text: str) -> dict[str, Any]:
    name: Any = text if resource_type == "Organization" else [{"family": text}]
    return {"resourceType": resource_type, "id": resource_id, "name": name}


def text_of(found: Any) -> str:
    name = found["name"]
    return str(name if isinstance(name, str) else name[0]["family"])


async def filled(store: Store, tenant: Tenant, count: int) -> list[tuple[str, str]]:
    """Of four resources three are sealed under the data key, and the fourth is a patient with a key of its own."""
    names = [("Patient" if number % 4 == 3 else "Organization", f"r{number}") for number in range(count)]
    repository = store.repository(tenant, Caller.system(tenant.name, "test"))
    for start in range(0, count, CHUNK):
        await repository.put_many([resource(*name, "first") for name in names[start : start + CHUNK]])
    return names


@dataclass(frozen=True)
class Killer:
    """Runs the job in a process of its own, and kills that in the middle of the work."""

    store: Store
    tenant: Tenant
    environment: dict[str, str]

    async def round(self, chance: random.Random, *, patients: bool) -> int:
        """Rotates, lets the work begin, kills it: how much was done by then."""
        await self.store.key_versions(self.tenant).rotate()
        job = await reencrypt.ask(self.store, self.tenant.name, patients=patients)
        words = ("keys", "reencrypt", "--tenant", self.tenant.name, "--json", *(["--patients"] if patients else []))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fhir_server.cli",
            *words,
            env={**os.environ, **self.environment},
            stdout=-3,
            stderr=-3,
        )
        begun, wanted = job.done, chance.random()
        while process.returncode is None:
            await asyncio.sleep(0.02)
            found = await self.store.jobs.get(job.tenant, job.kind, job.job_id)
            if found and found.done > begun and found.done - begun >= wanted * min(found.total - begun, MOST):
                break
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        found = await self.store.jobs.get(job.tenant, job.kind, job.job_id)
        assert found is not None
        if found.state == "running":
            await self.store.jobs.forsake(found)
        return found.done - begun
