"""The table of operations: it says what the OperationDefinitions and the CapabilityStatement say."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.fhir import definitions, json
from fhir_server.fhir.entry import EntryRequest
from fhir_server.interactions.context import APPEND_ONLY, Context
from fhir_server.interactions.operations.operation import LEVELS, Operation
from fhir_server.interactions.operations.table import CODE, OPERATIONS, ROWS
from fhir_server.interactions.table import resolve
from tests.interactions.conftest import ask

SYSTEM, TYPE, INSTANCE = LEVELS


def a_type_of(operation: Operation) -> str:
    return operation.definition.resources[0] if operation.definition.resources != ("Resource",) else "Patient"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.url)
def test_the_levels_are_those_of_the_definition(operation: Operation) -> None:
    resource_type = a_type_of(operation)
    paths = {SYSTEM: "", TYPE: f"{resource_type}/", INSTANCE: f"{resource_type}/x/"}
    for level in operation.levels:
        row, _ = resolve(EntryRequest("POST", f"{paths[level]}${operation.code}"))
        assert (row.code, row.right) == (CODE, operation.right)
    definition = operation.definition
    assert (TYPE in operation.levels, INSTANCE in operation.levels) == (definition.type, definition.instance)


def test_operations_of_one_name_need_the_same_and_change_the_same() -> None:
    by_code = {each.code: (each.right, each.changes) for each in OPERATIONS}
    assert all(by_code[each.code] == (each.right, each.changes) for each in OPERATIONS)


def test_what_changes_something_is_only_posted() -> None:
    changing = {each.code for each in OPERATIONS if each.changes}
    for row in ROWS:
        assert row.method == "POST" or row.path.rpartition("$")[2] not in changing


async def test_the_capability_statement_lists_them_with_their_definitions(ctx: Context) -> None:
    rest = json.trusted((await ask(ctx, "GET metadata")).body or b"")["rest"][0]
    assert named(rest) == {(each.code, each.url) for each in OPERATIONS if SYSTEM in each.levels}
    for resource in rest["resource"]:
        called = [each for each in OPERATIONS if each.applies_to(resource["type"]) and each.levels != (SYSTEM,)]
        if resource["type"] in APPEND_ONLY:
            called = [each for each in called if not each.changes]
        assert named(resource) == {(each.code, each.url) for each in called}


def named(listing: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["name"], each["definition"]) for each in listing["operation"]}


def test_every_definition_says_what_it_returns() -> None:
    for operation in OPERATIONS:
        returned = [each for each in definitions.operations()[operation.url].parameters if each.use == "out"]
        # R4 leaves out what $document returns; those of terminology say more than one thing.
        first = returned[0].name if returned else operation.code
        assert first in ("return", "result", "name", "outcome", "document", "status", "source", "state")
