"""A store for people: the real MongoDB, a database of the test module, a clock that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from fhir_server.auth import totp
from fhir_server.auth.passwords import Passwords
from fhir_server.auth.people import People
from fhir_server.settings import Settings
from fhir_server.store import attempts, sessions, users
from fhir_server.store.connection import Store, opened
from fhir_server.store.users import User, moment
from tests.auth.people.browser import Browser
from tests.auth.people.town import CHEAP, RIGHT, Town, check, settled


@dataclass
class Clock:
    """Starts when the test does; waits without waiting."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return moment() + self.ahead

    def seconds(self) -> float:
        return self().timestamp()

    def wait(self, **units: float) -> None:
        self.ahead += timedelta(**units)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in (attempts, sessions, users):
        monkeypatch.setattr(module, "moment", found)
    return found


@pytest_asyncio.fixture(scope="module")
async def people_store(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        yield found


@pytest_asyncio.fixture(scope="module")
async def hashing() -> AsyncIterator[Passwords]:
    found = Passwords(CHEAP)
    yield found
    found.close()


@dataclass
class Place:
    """A tenant of its own with one person in it, whose password is `RIGHT`."""

    people: People
    tenant: str
    user: User
    clock: Clock

    async def sign_in(self, password: str = RIGHT, *, username: str = "ann", host: str = "192.0.2.1") -> User:
        return await self.people.by_password(self.tenant, username, password, host=host, device=None)

    def code(self, secret: bytes, *, steps: int = 0) -> str:
        return totp.code(secret, int(self.clock.seconds()) // totp.STEP + steps)

    async def current(self) -> User:
        return await self.people.users.existing(self.tenant, "ann")


@pytest_asyncio.fixture
async def place(people_store: Store, hashing: Passwords, clock: Clock) -> Place:
    tenant, store = f"t{uuid4().hex[:8]}", people_store
    people = People(store, hashing, clock=clock.seconds)
    user = await store.users.add(User(tenant, "ann", "Ann Lee", password=await hashing.hashed(RIGHT)))
    return Place(people, tenant, user, clock)


@pytest_asyncio.fixture(scope="module")
async def town(mongo_url: str, database_name: str) -> AsyncIterator[Town]:
    async with settled(Settings(mongo_url=mongo_url, database=database_name)) as found:
        yield found


@pytest_asyncio.fixture
async def browser(town: Town) -> AsyncIterator[Browser]:
    found = town.browser()
    yield found
    await found.close()
    for each in found.seen:
        check(each)
