"""Writers that go through the server's own repository, and an account of what each write was answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.table import context, perform
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository

TENANT = "faults"
SYSTEM = "urn:fhir-server:write"
TOGETHER = 3
"""Resources of each transaction."""
PAUSE = 0.05
"""Seconds after a refusal."""

Write = Callable[[Repository, str, str], Awaitable[object]]
"""By a repository, for a writer, of a word that says which write it was."""


@dataclass(slots=True)
class Account:
    """What was answered to which write; a write is put down only after its answer."""

    resources: dict[str, int] = field(default_factory=dict)
    """How many resources each write has."""
    acknowledged: set[str] = field(default_factory=set)
    ambiguous: set[str] = field(default_factory=set)
    """503 `timeout`: it may have been stored."""
    refused: set[str] = field(default_factory=set)
    """Every other 503: nothing was stored."""
    slowest: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The account against what a majority of the members has."""

    acknowledged: int
    lost: int
    duplicated: int
    torn: int
    """Transactions of which only a part is there."""
    ambiguous: int
    ambiguous_stored: int
    refused: int
    refused_stored: int
    slowest: float


def resource(word: str, resource_id: str) -> Resource:
    return {
        "resourceType": "Basic",
        "id": resource_id,
        "identifier": [{"system": SYSTEM, "value": word}],
        "code": {"text": "a write that must not be lost"},
    }


async def create(repository: Repository, _: str, word: str) -> None:
    await repository.create(resource(word, word), resource_id=word)


async def update(repository: Repository, writer: str, word: str) -> None:
    """The next version of the writer's one resource."""
    await repository.update(resource(word, writer))


async def together(repository: Repository, _: str, word: str) -> None:
    """Several in one transaction."""

    async def work(inside: Repository) -> None:
        for number in range(TOGETHER):
            await inside.create(resource(word, f"{word}-{number}"), resource_id=f"{word}-{number}")

    await repository.transaction(work)


async def once(repository: Repository, _: str, word: str) -> None:
    """Created by If-None-Exist, and asked again until it is acknowledged: there must be one."""
    ctx = context(repository, base=f"http://127.0.0.1/fhir/{TENANT}", cursor_key=b"k" * 32)
    body = {name: value for name, value in resource(word, word).items() if name != "id"}
    entry = EntryRequest("POST", "Basic", body, if_none_exist=f"identifier={SYSTEM}|{word}")
    while True:
        with suppress(FhirError):
            await perform(ctx, entry)
            return
        await asyncio.sleep(PAUSE)


KINDS: dict[Write, int] = {create: 1, update: 1, together: TOGETHER, once: 1}
"""What a writer does in turn, and how many resources it writes with it."""


async def tenant_of(store: Store) -> Repository:
    found = await store.tenants.get(TENANT) or await store.tenants.create(TENANT, native="off")
    return store.repository(found, Caller.system(TENANT, "fault harness"))


class Writers:
    """Work until they are told to stop, and finish what they have begun."""

    def __init__(
        self, repository: Repository, kinds: Iterable[Write] = tuple(KINDS), count: int = 8, name: str = "w"
    ) -> None:
        self.account = Account()
        self._repository = repository
        self._kinds = tuple(kinds)
        self._names = [f"{name}{number}" for number in range(count)]
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Writers:
        self._tasks = [asyncio.create_task(self._write_on(name)) for name in self._names]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Until so many more are acknowledged."""
        await self.reached(len(self.account.acknowledged) + count)

    async def reached(self, wanted: int) -> None:
        """Until so many are acknowledged."""
        while len(self.account.acknowledged) < wanted and not any(each.done() for each in self._tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _write_on(self, writer: str) -> None:
        number = 0
        while not self._stopped.is_set():
            kind = self._kinds[number % len(self._kinds)]
            await self._write(kind, writer, f"{writer}-{number}")
            number += 1

    async def _write(self, kind: Write, writer: str, word: str) -> None:
        account, started = self.account, monotonic()
        account.resources[word] = KINDS[kind]
        try:
            await kind(self._repository, writer, word)
            account.acknowledged.add(word)
        except FhirError as problem:
            if problem.status not in (409, 503):
                raise
            unknown = problem.issues[0].code == "timeout"
            (account.ambiguous if unknown else account.refused).add(word)
            await asyncio.sleep(PAUSE)
        finally:
            account.slowest = max(account.slowest, monotonic() - started)


async def stored(collections: Iterable[Any]) -> Counter[str]:
    """How many versions carry the word of each write; a version that is current and in the history counts once."""
    versions: dict[tuple[str, int], str] = {}
    for collection in collections:
        async for document in collection.find({"t": TENANT}, {"_id": 0, "id": 1, "v": 1, "body": 1}):
            body = json.trusted(document["body"])
            versions[document["id"], document["v"]] = body["identifier"][0]["value"]
    return Counter(versions.values())


def found(account: Account, present: Counter[str]) -> Finding:
    total = Counter(_judged(account, present))
    counted = {name: total[name] for name in Finding.__slots__ if name != "slowest"}
    return Finding(**counted, slowest=account.slowest)


def _judged(account: Account, present: Counter[str]) -> Iterable[str]:
    for word, expected in account.resources.items():
        count = present[word]
        if count > expected:
            yield "duplicated"
        elif 0 < count < expected:
            yield "torn"
        if word in account.acknowledged:
            yield "acknowledged"
            if count < expected:
                yield "lost"
        for name in ("ambiguous", "refused"):
            if word in getattr(account, name):
                yield name
                if count:
                    yield f"{name}_stored"
