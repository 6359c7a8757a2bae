"""One query being answered: what it may still cost, and resources loaded many at a time.
https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, error
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource
from fhir_server.fhir.version import Version
from fhir_server.interactions import integrity
from fhir_server.interactions.context import Context

MAX_VALUES: Final = 50_000
MAX_RESOURCES: Final = 2_000
MAX_SEARCHES: Final = 50
MAX_SECONDS: Final = 20.0

Key = tuple[str, str]
T = TypeVar("T")


class Session:
    """Reads one after the other, as a transaction allows no two at a time."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.exhausted = ""
        self._left = {"values": MAX_VALUES, "resources": MAX_RESOURCES, "searches": MAX_SEARCHES}
        self._turn = asyncio.Lock()
        self._found: dict[Key, asyncio.Future[Resource | None]] = {}
        self._waiting: list[Key] = []
        self._loading: set[asyncio.Task[None]] = set()

    def spend(self, what: str, count: int = 1) -> bool:
        """Whether there is enough left; where there is not, the query as a whole is refused in the end."""
        self._left[what] -= count
        if self._left[what] < 0:
            self.exhausted = what
        return not self.exhausted

    async def reading(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            return await work()

    async def referred(self, text: str) -> Resource | None:
        """What a reference leads to; None where that is nothing that the caller may read."""
        local = LOCAL_REFERENCE.match(text.removeprefix(f"{self.ctx.base}/"))
        if local is None or not integrity.permitted(self.ctx, local[1], Right.READ):
            return None
        if local[3]:
            return await self._version(local[1], local[2], local[3])
        return await self.load((local[1], local[2]))

    async def _version(self, resource_type: str, resource_id: str, version_id: str) -> Resource | None:
        if not self.spend("searches"):
            return None
        try:
            found = await self.reading(lambda: self.ctx.repo.at(resource_type, resource_id, version_id))
        except FhirError as problem:
            if problem.status >= 500:
                raise
            return None
        return self.taken(found)

    def load(self, key: Key) -> asyncio.Future[Resource | None]:
        """Together with all others that are asked for in the same turn of the event loop."""
        if key not in self._found:
            loop = asyncio.get_running_loop()
            self._found[key] = loop.create_future()
            if not self._waiting:
                loop.call_soon(self._start)
            self._waiting.append(key)
        return self._found[key]

    def _start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._load())
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _load(self) -> None:
        """One query for all of them. Whatever goes wrong is for those who wait."""
        wanted, self._waiting = self._waiting, []
        try:
            within = self.spend("resources", len(wanted))
            found = await self.reading(lambda: self.ctx.repo.several(wanted)) if within else {}
        except Exception as problem:
            for key in wanted:
                self._found[key].set_exception(problem)
            return
        for key in wanted:
            self._found[key].set_result(found[key].resource() if key in found else None)

    def taken(self, version: Version) -> Resource | None:
        return version.resource() if self.spend("resources") else None


def unresolved(text: Any) -> FhirError:
    """The same whether it does not exist, is hidden, or is elsewhere."""
    seen = f"'{text[:200]}'" if isinstance(text, str) else "without a literal reference"
    return error("not-found", f"The reference {seen} leads to nothing that can be read here.")
