"""Which resource each entry of a transaction writes, before any of them is written.
https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.fhir.outcome import error
from fhir_server.fhir.version import Version
from fhir_server.interactions import conditions, patch, update
from fhir_server.interactions.context import Context
from fhir_server.interactions.links import Target
from fhir_server.interactions.steps import Step, located


@dataclass(frozen=True, slots=True)
class Identity:
    """The resource that an entry stands for on this server."""

    step: Step
    target: Target
    existing: Version | None = None
    """What a conditional create found: it is not written."""
    twin: Step | None = None
    """The entry before with the same If-None-Exist: it writes, or finds, the resource for both."""

    @property
    def written(self) -> bool:
        return self.existing is None and self.twin is None


async def of_steps(ctx: Context, steps: Sequence[Step]) -> list[Identity]:
    """Creates before updates, as they are processed; new ids are given, criteria are looked up."""
    creates: dict[str, Identity] = {}
    found = [await _created(ctx, step, creates) for step in steps if step.processed_as == "POST"]
    return found + [await _updated(ctx, step) for step in steps if step.processed_as in ("PUT", "PATCH")]


async def _created(ctx: Context, step: Step, creates: dict[str, Identity]) -> Identity:
    condition = step.request.if_none_exist
    if condition is None:
        return _new(ctx, step)
    with located(step):
        criteria = conditions.of_text(condition, step.resource_type)
        same = f"{step.resource_type}?{sorted(criteria)}"
        if same in creates:
            return Identity(step, creates[same].target, twin=creates[same].step)
        existing = await conditions.claimed_match(ctx, step.resource_type, criteria)
    creates[same] = _new(ctx, step) if existing is None else Identity(step, _target(existing), existing)
    return creates[same]


async def _updated(ctx: Context, step: Step) -> Identity:
    resource_id = step.path.get("resource_id")
    if resource_id is None:
        with located(step):
            of_criteria = patch.identity if step.processed_as == "PATCH" else update.identity
            resource_id = await of_criteria(ctx, step.request, step.resource_type)
    return _new(ctx, step) if resource_id is None else Identity(step, Target(step.resource_type, resource_id))


def _new(ctx: Context, step: Step) -> Identity:
    return Identity(step, Target(step.resource_type, ctx.repo.new_id(), created=True))


def _target(version: Version) -> Target:
    return Target(version.resource_type, version.resource_id)


def by_full_url(identities: Iterable[Identity]) -> dict[str, Target]:
    return {each.step.request.full_url: each.target for each in identities if each.step.request.full_url}


def refuse_overlap(deleted: Iterable[tuple[Step, str | None]], identities: Iterable[Identity]) -> None:
    """If any resource identities overlap, the transaction SHALL fail."""
    seen: set[tuple[str, str]] = set()
    gone = [(step, resource_id) for step, resource_id in deleted if resource_id is not None]
    written = [(each.step, each.target.resource_id) for each in identities if each.written]
    for step, resource_id in gone + written:
        if (step.resource_type, resource_id) in seen:
            raise error(
                "duplicate",
                f"More than one entry changes {step.resource_type}/{resource_id}.",
                status=400,
                expression=f"Bundle.entry[{step.place}]",
            )
        seen.add((step.resource_type, resource_id))
