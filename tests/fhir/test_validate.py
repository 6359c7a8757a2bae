"""Resources that are refused, with every fault and its place, and odd ones that are not."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.fhir.outcome import STATUS, FhirError
from fhir_server.fhir.types import MAX_CONTAINED
from fhir_server.fhir.validate import MAX_ISSUES, check, faults
from tests.fhir.tables import cases


@pytest.mark.parametrize("case", cases("faults.yaml"))
def test_a_resource_that_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(FhirError) as refused:
        check(case["resource"])
    issues = refused.value.issues
    assert refused.value.status == case["status"]
    assert [(each.code, *each.expression) for each in issues] == [(each["code"], each["at"]) for each in case["faults"]]
    for issue, expected in zip(issues, case["faults"], strict=True):
        assert str(expected.get("says", "")) in issue.diagnostics
    assert faults(case["resource"]) == list(issues)


@pytest.mark.parametrize("case", cases("valid.yaml"))
def test_a_resource_that_is_right(case: dict[str, Any]) -> None:
    check(case["resource"])
    assert faults(case["resource"]) == []


def test_issues_have_codes_with_a_status() -> None:
    rows = [param.values[0] for param in cases("faults.yaml")]
    assert {fault["code"] for row in rows for fault in row["faults"]} <= STATUS.keys()


def test_messages_are_not_without_end() -> None:
    with pytest.raises(FhirError) as refused:
        check({"resourceType": "Patient", "identifier": [{"foo": "x" * 1000}] * 100_000})
    assert len(refused.value.issues) == MAX_ISSUES + 1
    assert refused.value.issues[-1].severity == "information"
    assert len(refused.value.issues[0].diagnostics) < 200


def test_containing_is_not_without_end() -> None:
    inside = [{"resourceType": "Organization", "id": f"o{each}", "name": "x"} for each in range(MAX_CONTAINED + 1)]
    with pytest.raises(FhirError) as refused:
        check({"resourceType": "Patient", "contained": inside})
    assert (refused.value.status, refused.value.issues[0].code) == (400, "too-costly")
