"""A query from its text to its answer.  https://hl7.org/fhir/R4/graphql.html

What is wrong with the query as a whole is an OperationOutcome; what is wrong with a field is told beside the data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any, Final

from graphql import ExecutionResult, GraphQLError, execute, specified_rules, validate
from graphql.validation import VariablesInAllowedPositionRule

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError, Issue, error
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.context import Context
from fhir_server.interactions.graphql.asked import Asked
from fhir_server.interactions.graphql.flatten import Flattening
from fhir_server.interactions.graphql.node import Node
from fhir_server.interactions.graphql.schema import schema
from fhir_server.interactions.graphql.session import (
    MAX_RESOURCES,
    MAX_SEARCHES,
    MAX_SECONDS,
    MAX_VALUES,
    Session,
)
from fhir_server.interactions.graphql.survey import surveyed

RULES: Final = tuple(each for each in specified_rules if each is not VariablesInAllowedPositionRule)
"""A variable that is one value may stand for a list, as a literal may; arguments are checked where they are used."""
MAX_ERRORS: Final = 20
LONG_FIELDS: Final = 100
"""So many fields take milliseconds to be compared with each other, which is done beside the event loop."""
MOST: Final = {"values": MAX_VALUES, "resources": MAX_RESOURCES, "searches": MAX_SEARCHES}


async def answer(ctx: Context, asked: Asked, instance: Resource | None) -> bytes:
    """The JSON of a GraphQL response. On an instance the query begins in it."""
    document, survey = surveyed(asked.query)
    made = schema(frozenset(survey.types), frozenset(survey.told), instance["resourceType"] if instance else "")
    if survey.fields < LONG_FIELDS:
        _refuse(validate(made, document, RULES, max_errors=MAX_ERRORS))
    else:
        _refuse(await asyncio.to_thread(validate, made, document, RULES, max_errors=MAX_ERRORS))
    session = Session(ctx)
    try:
        async with asyncio.timeout(MAX_SECONDS):
            result = execute(
                made,
                document,
                root_value=Node.of(instance) if instance else None,
                context_value=session,
                variable_values=dict(asked.variables),
                operation_name=asked.operation_name,
                execution_context_class=Flattening,
            )
            done: ExecutionResult = await result if isawaitable(result) else result
    except TimeoutError:
        raise error("too-costly", f"The query takes longer than {MAX_SECONDS:.0f} seconds.") from None
    if session.exhausted:
        raise error(
            "too-costly", f"The query comes to more than {MOST[session.exhausted]:,} {session.exhausted}.", status=400
        )
    return _encoded(done)


def _refuse(problems: Sequence[GraphQLError]) -> None:
    if problems:
        raise FhirError([Issue("invalid", f"{each.message}{_place(each)}") for each in problems], status=400)


def _place(problem: GraphQLError) -> str:
    place = problem.locations[0] if problem.locations else None
    return f" (line {place.line}, column {place.column})" if place else ""


def _encoded(done: ExecutionResult) -> bytes:
    errors = done.errors or []
    _refuse([each for each in errors if each.path is None and _cause(each) is None])
    answered: dict[str, Any] = {"data": done.data}
    return json.encode({"errors": list(map(_told, errors)), **answered} if errors else answered)


def _cause(problem: GraphQLError) -> Exception | None:
    """What went wrong outside of the engine."""
    found = problem.original_error
    return _cause(found) if isinstance(found, GraphQLError) else found


def _told(problem: GraphQLError) -> dict[str, Any]:
    """A refusal with its code; what is no refusal is a fault of the server, and not told."""
    found = _cause(problem)
    if found is not None and (not isinstance(found, FhirError) or found.status >= 500):
        raise found
    issue = found.issues[0] if isinstance(found, FhirError) else Issue("processing", problem.message)
    told: dict[str, Any] = {"message": issue.diagnostics, "extensions": {"code": issue.code}}
    if problem.locations:
        told["locations"] = [{"line": each.line, "column": each.column} for each in problem.locations]
    if problem.path is not None:
        told["path"] = list(problem.path)
    return told
