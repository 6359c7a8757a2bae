"""Every row of the interaction table has conformance cases, and every case says what it is about."""

from __future__ import annotations

from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.operations.operation import Operation
from fhir_server.interactions.operations.table import OPERATIONS
from fhir_server.interactions.table import INTERACTIONS, resolve
from tests.conformance.tables import Case, cases


def _code(case: Case) -> str | None:
    if case.url.startswith("/"):
        return None
    try:
        return resolve(EntryRequest(case.method, case.url, case.row.get("body")))[0].code
    except FhirError:
        return None


def test_every_interaction_has_cases() -> None:
    assert {row.code for row in INTERACTIONS} <= {_code(case) for case in cases()}


def _calls(case: Case, operation: Operation) -> bool:
    *before, last = case.url.partition("?")[0].split("/")
    resource_type = before[0] if before else ""
    return last == f"${operation.code}" and resource_type.isalpha() and operation.applies_to(resource_type)


def test_every_operation_has_cases() -> None:
    assert [each.url for each in OPERATIONS if not any(_calls(case, each) for case in cases())] == []


def test_no_two_cases_have_the_same_title() -> None:
    titles = [case.title for case in cases()]
    assert len(titles) == len(set(titles))


WHO = {"as", "patient", "person", "claims", "tenant"}
KEYS = {"title", "request", "headers", "body", "raw", "form", "patch", "http", "expect"} | WHO
LATER = {"then", "poll"}


def test_rows_say_nothing_that_is_not_read() -> None:
    """A comma in a title that is not quoted would end it, and make a key of the rest."""
    steps = [(case.title, step) for case in cases() for step in (case.row, *case.row.get("then", ()))]
    assert [(title, key) for title, step in steps for key in step if key not in KEYS | LATER] == []
