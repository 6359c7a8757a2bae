"""Labels by rules: added to what is there, never instead.  https://hl7.org/fhir/R4/security-labels.html"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.labelling import labelled
from fhir_server.search import labels
from fhir_server.search.index import index

ICD, SNOMED = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"


def condition(system: str, code: str, *given: str) -> dict[str, Any]:
    security = [labels.coding(each) for each in given]
    meta = {"meta": {"security": security}} if security else {}
    return {"resourceType": "Condition", "id": "c1", **meta, "code": {"coding": [{"system": system, "code": code}]}}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (condition(ICD, "B20"), ["R", "HIV"]),
        (condition(SNOMED, "86406008"), ["R", "HIV"]),
        (condition(ICD, "F11.20"), ["R", "SUD"]),
        (condition(ICD, "F17.200"), []),
        (condition(ICD, "I10"), []),
        (condition("urn:other", "B20"), []),
        (condition(ICD, "B20", "V"), ["V", "HIV"]),
        (condition(ICD, "B20", "L"), ["R", "HIV"]),
        (condition(ICD, "B20", "PSY"), ["R", "HIV", "PSY"]),
        (condition(ICD, "I10", "PSY"), ["PSY"]),
    ],
)
def test_what_a_code_asks_for_is_added(resource: dict[str, Any], expected: list[str]) -> None:
    done = labelled(resource, index(resource).tokens)
    assert labels.entries(done) == expected
    assert labelled(done, index(done).tokens) is done
    before = resource.get("meta", {}).get("security", [])
    assert done.get("meta", {}).get("security", [])[: len(before)] == before


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        (["R"], ["R"], []),
        (["R"], [], ["R"]),
        (["R"], ["V"], []),
        (["V", "HIV"], ["R"], ["V", "HIV"]),
        (["HIV"], ["HIV", "PSY"], []),
        ([], ["R"], []),
        ([], ["L"], ["N"]),
        (["L"], [], []),
    ],
)
def test_what_is_lost_is_named(before: list[str], after: list[str], gone: list[str]) -> None:
    assert labels.lost(before, after) == gone


def test_codes_under_names_of_before_count() -> None:
    old = {"system": "http://hl7.org/fhir/v3/Confidentiality", "code": "R"}
    unknown = {"system": labels.CONFIDENTIALITY, "code": "X"}
    other = {"system": "urn:x", "code": "R"}
    assert labels.entries({"meta": {"security": [old, other]}}) == ["R"]
    assert labels.entries({"meta": {"security": [unknown]}}) == ["V"]
    assert labels.entries({"meta": {"security": [other, {"code": "R"}]}}) == []
