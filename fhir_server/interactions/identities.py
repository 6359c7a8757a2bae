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
    by_criteria: dict[str, Identity] = {}
    found = [await _created(ctx, step, by_criteria) for step in steps if step.processed_as == "POST"]
    return found + [await _updated(ctx, step, by_criteria) for step in steps if step.processed_as in ("PUT", "PATCH")]


async def _created(ctx: Context, step: Step, by_criteria: dict[str, Identity]) -> Identity:
    condition = step.request.if_none_exist
    if condition is None:
        return _new(ctx, step)
    with located(step):
        criteria = conditions.of_text(condition, step.resource_type)
        same = conditions.canonical(step.resource_type, criteria)
        if same in by_criteria:
            return Identity(step, by_criteria[same].target, twin=by_criteria[same].step)
        existing = await conditions.claimed_match(ctx, step.resource_type, criteria)
    by_criteria[same] = _new(ctx, step) if existing is None else Identity(step, _target(existing), existing)
    return by_criteria[same]


async def _updated(ctx: Context, step: Step, by_criteria: dict[str, Identity]) -> Identity:
    resource_id = step.path.get("resource_id")
    if resource_id is None:
        with located(step):
            of_criteria = patch.identity if step.processed_as == "PATCH" else update.identity
            resource_id = await of_criteria(ctx, step.request, step.resource_type)
    if resource_id is None:
        _refuse_second(step, by_criteria)
        return _new(ctx, step)
    return Identity(step, Target(step.resource_type, resource_id))


def _refuse_second(step: Step, by_criteria: dict[str, Identity]) -> None:
    """What nothing matches yet is created by one entry: another with the same criteria would be about the same."""
    same = conditions.canonical(step.resource_type, step.request.query)
    if same in by_criteria:
        raise error(
            "duplicate",
            f"More than one entry creates what '{same}' stands for.",
            status=400,
            expression=f"Bundle.entry[{step.place}]",
        )
    by_criteria[same] = Identity(step, Target(step.resource_type, ""))


def _new(ctx: Context, step: Step) -> Identity:
    return Identity(step, Target(step.resource_type, ctx.repo.new_id(), created=True))


def _target(version: Version) -> Target:
    return Target(version.resource_type, version.resource_id)


def by_full_url(identities: Iterable[Identity]) -> dict[str, Target]:
    return {each.step.request.full_url: each.target for each in identities if each.step.request.full_url}


def refuse_overlap(deleted: Iterable[tuple[Step, str]], identities: Iterable[Identity]) -> None:
    """If any resource identities overlap, the transaction SHALL fail."""
    seen: set[tuple[str, str]] = set()
    written = [(each.step, each.target.resource_id) for each in identities if each.written]
    for step, resource_id in [*deleted, *written]:
        if (step.resource_type, resource_id) in seen:
            raise error(
                "duplicate",
                f"More than one entry changes {step.resource_type}/{resource_id}.",
                status=400,
                expression=f"Bundle.entry[{step.place}]",
            )
        seen.add((step.resource_type, resource_id))
