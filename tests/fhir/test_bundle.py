"""Bundles taken apart into entries, and put together from answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.fhir import bundle, json, validate
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, Issue, invalid
from fhir_server.fhir.version import Version

BASE = "http://fhir.example.org/fhir/acme"
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
BODY = b'{"resourceType":"Patient","id":"p1"}'


def request_of(**request: Any) -> Any:
    return bundle.request_of({"request": request}, base=BASE, prefer=frozenset())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Patient/1", "Patient/1"),
        ("/Patient/1", "Patient/1"),
        (f"{BASE}/Patient/1", "Patient/1"),
        (BASE, ""),
        (f"{BASE}?_type=Patient", "?_type=Patient"),
        ("ValueSet?url=http://example.org/vs", "ValueSet?url=http://example.org/vs"),
    ],
)
def test_urls_are_relative_to_the_base(url: str, expected: str) -> None:
    assert request_of(method="GET", url=url).url == expected


@pytest.mark.parametrize("url", ["http://example.org/fhir/Patient/1", f"{BASE}2/Patient/1", "https://x/?a=b"])
def test_urls_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(FhirError) as refusal:
        request_of(method="GET", url=url)
    assert refusal.value.status == 400


def test_preconditions_are_carried() -> None:
    found = request_of(
        method="PUT",
        url="Patient/1",
        ifMatch='W/"1"',
        ifNoneMatch="*",
        ifModifiedSince="2024-02-29T12:00:00Z",
        ifNoneExist="identifier=1",
    )
    assert (found.if_match, found.if_none_match, found.if_modified_since, found.if_none_exist) == (
        'W/"1"',
        "*",
        NOON,
        "identifier=1",
    )


@pytest.mark.parametrize(
    ("entry", "expression"),
    [
        (42, "Bundle.entry[0]"),
        ({}, "Bundle.entry[0]"),
        ({"request": []}, "Bundle.entry[0]"),
        ({"request": {"url": "Patient"}}, "Bundle.entry[0].request"),
        ({"request": {"method": "GET"}}, "Bundle.entry[0].request"),
        ({"request": {"method": ["GET"], "url": "Patient"}}, "Bundle.entry[0].request"),
        ({"request": {"method": "TRACE", "url": "Patient"}}, "Bundle.entry[0].request.method"),
    ],
)
def test_an_entry_that_says_nothing_to_do_is_refused(entry: Any, expression: str) -> None:
    with pytest.raises(FhirError) as refusal:
        bundle.entries({"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    assert (refusal.value.status, refusal.value.issues[0].expression) == (400, (expression,))


def test_entries_that_are_no_list_are_refused() -> None:
    with pytest.raises(FhirError):
        bundle.entries({"resourceType": "Bundle", "entry": {}})


def test_a_bundle_without_its_resources() -> None:
    given = {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:x", "resource": {"resourceType": "Patient"}}]}
    assert bundle.without_resources(given)["entry"] == [{"fullUrl": "urn:x"}]
    assert "resource" in given["entry"][0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ((), ("Bundle.entry[3]",)),
        (("Patient.name[0].given",), ("Bundle.entry[3].resource.name[0].given",)),
        (("Patient",), ("Bundle.entry[3].resource",)),
        (("Bundle.entry[3].request",), ("Bundle.entry[3].request",)),
    ],
)
def test_a_fault_is_seen_from_the_bundle(expression: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert bundle.within([Issue("invalid", "x", expression)], 3)[0].expression == expected


def test_a_located_refusal_keeps_its_status_and_headers() -> None:
    problem = FhirError(invalid("x").issues, status=405, headers=[("Allow", "GET")])
    located = bundle.located(problem, 1)
    assert (located.status, located.headers) == (405, (("Allow", "GET"),))


def test_answers_become_a_valid_response() -> None:
    answers = [
        EntryResponse(201, BODY, 'W/"1"', NOON, "Patient/p1/_history/1", resource_type="Patient", resource_id="p1"),
        EntryResponse(204),
        EntryResponse(
            404, json.encode({"resourceType": "OperationOutcome", "issue": [invalid("x").issues[0].as_json()]})
        ),
    ]
    found = json.trusted(bundle.response("batch-response", answers))
    validate.check(found)
    assert found["entry"][0] == {
        "resource": {"resourceType": "Patient", "id": "p1"},
        "response": {
            "status": "201 Created",
            "location": "Patient/p1/_history/1",
            "etag": 'W/"1"',
            "lastModified": "2024-02-29T12:00:00.000Z",
        },
    }
    assert found["entry"][1] == {"response": {"status": "204 No Content"}}
    assert found["entry"][2]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_no_answers_no_entries() -> None:
    assert json.trusted(bundle.response("batch-response", [])) == {"resourceType": "Bundle", "type": "batch-response"}


def test_a_history_says_what_was_done() -> None:
    versions = [
        Version("acme", "Patient", "p1", 3, NOON, "DELETE", b""),
        Version("acme", "Patient", "p1", 2, NOON, "PUT", BODY),
        Version("acme", "Patient", "p1", 1, NOON, "POST", BODY),
    ]
    found = json.trusted(bundle.history(versions, base=BASE, links=[("self", f"{BASE}/Patient/p1/_history")], total=3))
    validate.check(found)
    assert [entry["request"] for entry in found["entry"]] == [
        {"method": "DELETE", "url": "Patient/p1"},
        {"method": "PUT", "url": "Patient/p1"},
        {"method": "POST", "url": "Patient"},
    ]
    assert [entry["response"]["status"] for entry in found["entry"]] == ["204 No Content", "200 OK", "201 Created"]
    assert ["resource" in entry for entry in found["entry"]] == [False, True, True]
