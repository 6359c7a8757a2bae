"""How MongoDB answers a page of a search: which index, how much it looked at, how long it took.

https://www.mongodb.com/docs/manual/reference/explain-results/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir.outcome import not_supported
from fhir_server.search.plan import Plan
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document
from fhir_server.store.matches import SLOWEST, Matches

_INNER = ("queryPlan", "winningPlan", "inputStage", "inputStages", "shards")
"""Where a stage holds those before it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One query: the index it was told to use, the one it did use, its stages from the last to the first."""

    hint: str | None
    indexes: tuple[str, ...]
    stages: tuple[str, ...]
    returned: int
    documents: int
    keys: int
    milliseconds: int


async def explained(matches: Matches, plan: Plan) -> list[Step]:
    """The queries that the page is read with; the later ones only where those before do not fill it."""
    if matches.database.in_memory:
        raise not_supported("A search cannot be explained by the store in memory, which has no indexes.")
    steps: list[Step] = []
    part: Plan | None = plan
    while part is not None and sum(each.returned for each in steps) <= plan.limit:
        steps.append(await _step(matches, part, plan.limit + 1 - sum(each.returned for each in steps)))
        part = part.then
    return steps


async def _step(matches: Matches, plan: Plan, limit: int) -> Step:
    found, hint = matches.located(plan)
    resources = matches.database.of_types(plan.resource_types).resources
    command = {
        **(_aggregation if plan.pipeline else _find)(resources.name, plan, found, limit),
        **({"hint": hint} if hint else {}),
    }
    with mongo_errors:
        answer = await resources.database.command("explain", command, verbosity="executionStats", maxTimeMS=SLOWEST)
    later = [] if "executionStats" in answer else answer["stages"]
    told = later.pop(0)["$cursor"] if later else answer
    stages, run = list(_stages(told["queryPlanner"]["winningPlan"])), told["executionStats"]
    return Step(
        hint,
        tuple(dict.fromkeys(each["indexName"] for each in stages if "indexName" in each)),
        (*(_name(each) for each in reversed(later)), *(each["stage"] for each in stages)),
        int((later[-1] if later else run)["nReturned"]),
        run["totalDocsExamined"],
        run["totalKeysExamined"],
        run["executionTimeMillis"],
    )


def _find(name: str, plan: Plan, found: Document, limit: int) -> Document:
    order = {"sort": dict(plan.sort)} if plan.sort else {}
    return {"find": name, "filter": found, **order, "limit": limit}


def _aggregation(name: str, plan: Plan, found: Document, limit: int) -> Document:
    stages = [{"$match": found}, *plan.pipeline, {"$limit": limit}]
    return {"aggregate": name, "pipeline": stages, "cursor": {}}


def _name(stage: Document) -> str:
    return next(name for name in stage if name.startswith("$"))


def _stages(told: Any) -> Iterator[Document]:
    """From the last to the first, on every shard."""
    if isinstance(told, list):
        for each in told:
            yield from _stages(each)
    elif "stage" in told:
        yield told
    for name in _INNER:
        if name in told:
            yield from _stages(told[name])
