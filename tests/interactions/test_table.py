"""The table of interactions and its dispatch."""

from __future__ import annotations

import pytest

from fhir_server.fhir import definitions
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.table import INTERACTIONS, resolve

FOUND = [
    ("GET", "Patient/p1", "read", {"resource_type": "Patient", "resource_id": "p1"}),
    ("HEAD", "Patient/p1", "read", {"resource_type": "Patient", "resource_id": "p1"}),
    ("GET", "/Patient/p1/", "read", {"resource_type": "Patient", "resource_id": "p1"}),
    ("GET", "Patient/p1?_summary=true", "read", {"resource_type": "Patient", "resource_id": "p1"}),
    ("GET", "Patient/metadata.1", "read", {"resource_type": "Patient", "resource_id": "metadata.1"}),
    (
        "GET",
        "Patient/p1/_history/2",
        "vread",
        {"resource_type": "Patient", "resource_id": "p1", "version_id": "2"},
    ),
    ("GET", "Patient/p1/_history", "history-instance", {"resource_type": "Patient", "resource_id": "p1"}),
    ("GET", "Patient/_history", "history-type", {"resource_type": "Patient"}),
    ("GET", "_history", "history-system", {}),
    ("PUT", "Patient/p1", "update", {"resource_type": "Patient", "resource_id": "p1"}),
    ("PUT", "Patient?identifier=1", "update", {"resource_type": "Patient"}),
    ("PATCH", "Patient/p1", "patch", {"resource_type": "Patient", "resource_id": "p1"}),
    ("PATCH", "Patient?identifier=1", "patch", {"resource_type": "Patient"}),
    ("DELETE", "Patient/p1", "delete", {"resource_type": "Patient", "resource_id": "p1"}),
    ("DELETE", "Patient?identifier=1", "delete", {"resource_type": "Patient"}),
    ("POST", "Patient", "create", {"resource_type": "Patient"}),
    ("GET", "Patient?name=x", "search-type", {"resource_type": "Patient"}),
    ("POST", "Patient/_search", "search-type", {"resource_type": "Patient"}),
    ("GET", "?_type=Patient", "search-system", {}),
    ("POST", "_search", "search-system", {}),
    ("GET", "metadata", "capabilities", {}),
]

REFUSED = [
    ("POST", "Patient/p1", 405, "DELETE, GET, HEAD, PATCH, PUT"),
    ("PATCH", "Patient/p1/_history/1", 405, "GET, HEAD"),
    ("PATCH", "AuditEvent/a", 405, "GET, HEAD"),
    ("PUT", "AuditEvent/a", 405, "GET, HEAD"),
    ("DELETE", "AuditEvent?x=1", 405, "GET, HEAD, POST"),
    ("PUT", "", 405, "GET, HEAD, POST"),
    ("GET", "Foo/1", 404, None),
    ("TRACE", "Foo/1", 404, None),
    ("GET", "Patient/a_b", 400, None),
    ("GET", "Patient/../x", 400, None),
    ("GET", "Patient//x", 400, None),
    ("GET", "Medication/m1/Observation", 404, None),
    ("GET", "Patient/*", 404, None),
    ("GET", "Patient/p1/Observation/o1", 404, None),
    ("GET", "Patient/p1/$nothing", 501, None),
    ("GET", "$versions", 501, None),
    ("GET", "Patient/_foo", 404, None),
]


@pytest.mark.parametrize(("method", "url", "code", "path"), FOUND)
def test_a_request_finds_its_row(method: str, url: str, code: str, path: dict[str, str]) -> None:
    interaction, parts = resolve(EntryRequest(method, url))
    assert (interaction.code, parts) == (code, path)


@pytest.mark.parametrize(("method", "url", "status", "allow"), REFUSED)
def test_a_request_without_a_row_is_refused(method: str, url: str, status: int, allow: str | None) -> None:
    with pytest.raises(FhirError) as refusal:
        resolve(EntryRequest(method, url))
    assert refusal.value.status == status
    assert dict(refusal.value.headers).get("Allow") == allow


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_the_bundle_says_what_it_is(kind: str) -> None:
    posted = {"resourceType": "Bundle", "type": kind}
    assert resolve(EntryRequest("POST", "", posted))[0].code == kind


@pytest.mark.parametrize("posted", [None, {"resourceType": "Patient"}, {"resourceType": "Bundle", "type": "history"}])
def test_only_batches_and_transactions_go_to_the_base(posted: dict[str, str] | None) -> None:
    with pytest.raises(FhirError) as refusal:
        resolve(EntryRequest("POST", "", posted))
    assert refusal.value.status == 400


def test_codes_are_those_of_the_specification() -> None:
    system = definitions.codes("http://hl7.org/fhir/ValueSet/system-restful-interaction")
    types = definitions.codes("http://hl7.org/fhir/ValueSet/type-restful-interaction")
    assert system is not None
    assert types is not None
    assert {row.code for row in INTERACTIONS} <= system | types | {"capabilities"}
