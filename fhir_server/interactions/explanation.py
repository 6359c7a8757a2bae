"""`_explain`: how a search is answered, for whoever runs the server.

https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.access.right import Right
from fhir_server.access.scopes import ANY
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import forbidden
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.context import Context
from fhir_server.search import joins
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store.explanation import Step
from fhir_server.store.pages import Page


async def answer(ctx: Context, asked: Query) -> EntryResponse:
    """The parameters, and the queries that the first page is read with; nothing of a resource."""
    if not _may_look(ctx.repo.caller):
        raise forbidden("_explain needs a scope of the form system/*.s, because it tells how much others have stored.")
    started = perf_counter()
    found = await ctx.repo.followed(asked, None)
    resolved = perf_counter() - started
    walked = isinstance(found, Page)
    query = joins.undecided(asked) if isinstance(found, Page) else found
    steps = await ctx.repo.explained(plan(query, confined=ctx.repo.confined(query.resource_types)))
    parameters = [
        *(_parts("applied", name=name, value=value) for name, value in asked.applied),
        *({"name": "ignored", "valueString": issue.diagnostics} for issue in asked.ignored),
        _parts("conditions", followed=sum(each.joins for each in asked.criteria), milliseconds=resolved),
        *([{"name": "walked", "valueBoolean": True}] if walked else []),
        *map(_step, steps),
    ]
    body = json.encode({"resourceType": "Parameters", "parameter": parameters})
    return EntryResponse(200, body, resource_type="Parameters")


def _may_look(caller: Caller) -> bool:
    """Counts of what was looked through are about every resource of the tenant."""
    return any(
        scope.context == "system" and scope.resource_type == ANY and Right.SEARCH in scope.rights and not scope.criteria
        for scope in caller.scopes
    )


def _step(step: Step) -> Resource:
    return _parts(
        "query",
        hint=step.hint or "none",
        index=", ".join(step.indexes) or "none",
        plan=" < ".join(step.stages),
        keysExamined=step.keys,
        documentsExamined=step.documents,
        returned=step.returned,
        milliseconds=step.milliseconds,
    )


def _parts(title: str, /, **values: Any) -> Resource:
    return {"name": title, "part": [{"name": each, **_value(value)} for each, value in values.items()]}


def _value(value: str | float) -> Resource:
    """https://hl7.org/fhir/R4/datatypes.html#primitive Times are in whole milliseconds."""
    if isinstance(value, str):
        return {"valueString": value}
    return {"valueInteger": value if isinstance(value, int) else round(value * 1000)}
