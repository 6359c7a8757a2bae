"""A transaction, read and checked before anything is done.  https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir import bundle
from fhir_server.fhir.bundle import Entry
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError, Issue
from fhir_server.interactions import bundled, patch, profiles, received
from fhir_server.interactions.context import Context, Interaction
from fhir_server.interactions.pace import paced

_WRITES = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Step:
    """One entry: its place in the Bundle, what it asks, and the row that answers it."""

    place: int
    request: EntryRequest
    interaction: Interaction
    path: Mapping[str, str]

    @property
    def resource_type(self) -> str:
        return self.path["resource_type"]

    @property
    def processed_as(self) -> str:
        """The method that decides its turn: reads and searches come last, a search by POST with them."""
        return self.request.method if self.interaction.code in _WRITES else "GET"

    @property
    def conditional(self) -> bool:
        """Whether criteria decide which resource is written."""
        by_criteria = self.interaction.code in ("update", "patch", "delete") and "resource_id" not in self.path
        return by_criteria or self.request.if_none_exist is not None


@contextmanager
def located(step: Step) -> Iterator[None]:
    """A refusal inside names the entry."""
    try:
        yield
    except FhirError as problem:
        raise bundle.located(problem, step.place) from problem


async def of_bundle(ctx: Context, outer: EntryRequest) -> list[Step]:
    """Every entry resolved, permitted and valid; one refusal of the whole Bundle otherwise."""
    found = [_step(ctx, outer, place, entry) for place, entry in enumerate(bundled.entries(ctx, outer))]
    _check_rights(ctx, found)
    await _check_resources(ctx, found)
    return found


def _step(ctx: Context, outer: EntryRequest, place: int, entry: Entry) -> Step:
    try:
        request = bundled.request_of(ctx, outer, entry)
        interaction, path = ctx.resolve(request)
    except FhirError as problem:
        # The statuses of a path (404, 405, 501) are those of an entry; the Bundle itself is what is wrong here.
        raise FhirError(bundle.within(problem.issues, place), status=400) from problem
    return Step(place, request, interaction, path)


def _check_rights(ctx: Context, found: Sequence[Step]) -> None:
    """403 for the whole Bundle from the token alone, before the database is asked."""
    needed: dict[tuple[str, Right], Step] = {}
    for step in found:
        for right in (step.interaction.right, Right.SEARCH if step.conditional else None):
            if right is not None and "resource_type" in step.path:
                needed.setdefault((step.resource_type, right), step)
    for (resource_type, right), step in needed.items():
        with located(step):
            restriction(ctx.repo.caller, resource_type, right)


async def _check_resources(ctx: Context, found: Sequence[Step]) -> None:
    """Every fault of every resource, up to a limit."""
    issues: list[Issue] = []
    statuses: set[int] = set()
    async for step in paced(found):
        if len(issues) >= ctx.limits.issues:
            break
        try:
            await _check_resource(ctx, step)
        except FhirError as problem:
            issues += bundle.within(problem.issues, step.place)
            statuses.add(problem.status)
    if issues:
        raise FhirError(issues[: ctx.limits.issues], status=422 if statuses == {422} else None)


async def _check_resource(ctx: Context, step: Step) -> None:
    if step.processed_as == "PATCH":
        patch.received(step.request)
    if step.processed_as not in ("POST", "PUT"):
        return
    if "resource_id" in step.path:
        received.with_id(step.request, step.resource_type, step.path["resource_id"])
    await profiles.kept(ctx, received.checked(step.request, step.resource_type))
