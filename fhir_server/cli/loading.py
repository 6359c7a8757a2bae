"""What `load` does with the resources it reads: transactions and batches are performed, everything else is put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fhir_server.cli.files import Source
from fhir_server.fhir import json, validate
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.interactions import profiles
from fhir_server.interactions.context import Context

TOGETHER = 500
"""Resources that are written in one go."""

PERFORMED = frozenset({"transaction", "batch"})


@dataclass(slots=True)
class Result:
    """Counts of what was done, and a sentence for each thing that was not."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def failed(self, place: str, problem: str) -> None:
        self.counts["failed"] += 1
        self.failures.append(f"{place}: {problem}")


class Loading:
    def __init__(self, ctx: Context):
        self.result = Result()
        self._ctx = ctx
        self._waiting: list[tuple[str, Resource]] = []

    async def take(self, source: Source) -> None:
        """One thing that was read; it is written now or together with those that follow."""
        if source.resource is None:
            self.result.failed(source.place, source.problem)
        elif source.resource.get("resourceType") == "Bundle" and source.resource.get("type") in PERFORMED:
            await self.finish()
            await self._perform(source.place, source.resource)
        else:
            for place, resource in _flat(source.place, source.resource):
                await self._queue(place, resource)

    async def finish(self) -> None:
        """Writes what is waiting."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            await self._put(waiting)

    async def _put(self, waiting: list[tuple[str, Resource]]) -> None:
        """Where many cannot be written together, each is tried on its own, and one that cannot spoils no other."""
        try:
            self._count(await self._ctx.repo.put_many([resource for _, resource in waiting]))
        except FhirError as problem:
            if len(waiting) == 1:
                self.result.failed(waiting[0][0], str(problem))
                return
            for each in waiting:
                await self._put([each])

    async def _queue(self, place: str, resource: Resource) -> None:
        try:
            validate.check(resource)
            await profiles.kept(self._ctx, resource)
        except FhirError as problem:
            self.result.failed(place, str(problem))
            return
        self._waiting.append((place, resource))
        if len(self._waiting) >= TOGETHER:
            await self.finish()

    def _count(self, puts: Iterable[tuple[object, bool, bool]]) -> None:
        for _, created, changed in puts:
            self.result.counts["created" if created else "updated" if changed else "unchanged"] += 1

    async def _perform(self, place: str, bundle: Resource) -> None:
        try:
            answer = await self._ctx.perform(self._ctx, EntryRequest("POST", "", bundle))
        except FhirError as problem:
            self.result.failed(place, str(problem))
            return
        for number, entry in enumerate(json.trusted(answer.body or b"{}").get("entry", ())):
            self._count_entry(f"{place}: entry[{number}]", entry["response"])

    def _count_entry(self, place: str, response: Resource) -> None:
        status = response["status"][:3]
        if status >= "400":
            issues = response.get("outcome", {}).get("issue", ())
            self.result.failed(place, "; ".join(issue.get("diagnostics", "") for issue in issues) or status)
        else:
            self.result.counts["created" if status == "201" else "updated" if status == "200" else "other"] += 1


def _flat(place: str, resource: Resource) -> Iterator[tuple[str, Resource]]:
    """A collection, searchset or history Bundle is the resources in it; a document or message stays whole."""
    if resource.get("resourceType") != "Bundle" or resource.get("type") not in ("collection", "searchset", "history"):
        yield place, resource
        return
    for number, entry in enumerate(resource.get("entry", ())):
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield f"{place}: entry[{number}]", entry["resource"]
