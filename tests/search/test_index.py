"""What a resource is found by."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fhir_server.fhir import definitions
from fhir_server.search.clinical_dates import CLINICAL_DATES
from fhir_server.search.index import LISTED, index
from fhir_server.search.registry import modifiers, parameters, supported

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {
        "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
        "text": "Heart Rate",
    },
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-05-01T10:00:00Z",
    "valueQuantity": {
        "value": Decimal("72.0"),
        "unit": "beats/min",
        "system": "http://unitsofmeasure.org",
        "code": "/min",
    },
}


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_the_entries_of_an_observation() -> None:
    found = index(OBSERVATION)
    assert sorted(found.tokens) == [
        "code:8867-4",
        "code=http://loinc.org|8867-4",
        "combo-code:8867-4",
        "combo-code=http://loinc.org|8867-4",
        "patient=Patient/p1",
        "status:final",
        "subject=Patient/p1",
    ]
    assert found.strings == ["code:heart rate", "combo-code:heart rate"]
    assert found.dates == [{"p": "date", "s": moment(2024, 5, 1, 10), "e": moment(2024, 5, 1, 10, 0, 1)}]
    unit = {"system": "http://unitsofmeasure.org", "code": "/min", "unit": "beats/min"}
    assert sorted(found.numbers, key=lambda row: str(row["p"])) == [
        {"p": "code-value-quantity$8867-4", "v": 72.0, "k": "http://loinc.org", **unit},
        {"p": "code-value-quantity=s-1$8867-4", "v": 1.2, "k": "http://loinc.org"},
        {"p": "combo-value-quantity", "v": 72.0, **unit},
        {"p": "combo-value-quantity=s-1", "v": 1.2},
        {"p": "value-quantity", "v": 72.0, **unit},
        {"p": "value-quantity=s-1", "v": 1.2},
    ]
    assert found.compartments == ["Patient/p1"]
    assert found.date == moment(2024, 5, 1, 10)


def test_as_a_document_every_array_is_there() -> None:
    assert index({"resourceType": "Basic"}).as_document() == {
        "tok": [],
        "str": [],
        "dat": [],
        "num": [],
        "cmp": [],
        "d": None,
    }


def test_a_long_value_is_marked() -> None:
    period = {"start": "2024-05-01", "end": "2024-05-03"}
    found = index({"resourceType": "Observation", "effectivePeriod": period})
    assert found.tokens == ["date~long"]
    assert [row["p"] for row in found.dates] == ["date~"]


def test_a_day_is_not_long() -> None:
    assert index({"resourceType": "Patient", "birthDate": "1980-01-01"}).tokens == ["deceased:false"]


@pytest.mark.parametrize(
    ("resource", "compartments"),
    [
        ({"resourceType": "Patient", "id": "p1"}, ["Patient/p1"]),
        (
            {"resourceType": "Patient", "id": "p1", "link": [{"other": {"reference": "Patient/p2"}}]},
            ["Patient/p1", "Patient/p2"],
        ),
        ({"resourceType": "Observation", "subject": {"reference": "Group/g1"}}, []),
        ({"resourceType": "Observation", "performer": [{"reference": "Patient/p1"}]}, ["Patient/p1"]),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/p1/_history/2"}}, ["Patient/p1"]),
        ({"resourceType": "Observation", "subject": {"reference": "http://elsewhere/Patient/p1"}}, []),
        ({"resourceType": "Observation", "focus": [{"reference": "Patient/p1"}]}, []),
        ({"resourceType": "Organization", "id": "o1"}, []),
    ],
)
def test_compartments(resource: dict[str, Any], compartments: list[str]) -> None:
    assert index(resource).compartments == compartments


def test_references_to_ourselves_are_local() -> None:
    resource = {"resourceType": "Observation", "subject": {"reference": "https://ehr/fhir/a/Patient/p1"}}
    assert index(resource, "https://ehr/fhir/a").compartments == ["Patient/p1"]
    assert index(resource, "https://ehr/fhir/a/").tokens == index(resource, "https://ehr/fhir/a").tokens
    assert index(resource, "https://ehr/fhir/other").compartments == []


def test_gaps_in_arrays_are_passed_over() -> None:
    resource = {"resourceType": "Patient", "name": [{"given": [None, "Ann"], "_given": [{"id": "x"}, None]}]}
    assert "given:ann\tAnn" in index(resource).strings


def test_nothing_is_indexed_twice() -> None:
    codings = [{"system": "http://a", "code": "1"}, {"system": "http://a", "code": "1"}]
    assert index({"resourceType": "Basic", "code": {"coding": codings}}).tokens == ["code:1", "code=http://a|1"]


def test_a_long_text_is_cut_but_exact_stays_exact() -> None:
    (entry,) = index({"resourceType": "Organization", "name": "x" * 10_000}).strings[:1]
    assert len(entry) < 5_000
    assert entry != index({"resourceType": "Organization", "name": "x" * 10_001}).strings[0]


def test_every_main_date_is_a_date_parameter_of_its_type() -> None:
    assert set(CLINICAL_DATES) <= definitions.resource_types()
    assert {code: parameters(kind)[code].kind for kind, code in CLINICAL_DATES.items()} == dict.fromkeys(
        CLINICAL_DATES.values(), "date"
    )


def test_every_type_with_a_date_has_a_main_date_or_a_reason() -> None:
    dated = {
        kind
        for kind in definitions.resource_types()
        if any(each.kind == "date" for code, each in parameters(kind).items() if code != "_lastUpdated")
    }
    assert dated - set(CLINICAL_DATES) == {"Medication", "Substance"}, "what expires is not ordered by it"


def test_what_is_supported_is_what_is_defined_and_works() -> None:
    assert "code" in supported("Observation")
    assert "code-value-quantity" in supported("Observation")
    assert supported("Observation")["code"].url == "http://hl7.org/fhir/SearchParameter/clinical-code"
    known = ("missing", "not", "text", "of-type", "in", "not-in", "below", "above")
    assert modifiers(parameters("Observation")["code"]) == known
    assert modifiers(parameters("Observation")["code-value-quantity"]) == ()


def test_entries_that_are_in_force_are_those_of_a_list() -> None:
    entry = [{"item": {"reference": "Patient/p1"}}, {"deleted": True, "item": {"reference": "Patient/p2"}}, {}]
    listed = [each for each in index({"resourceType": "List", "entry": entry}).tokens if each.startswith(LISTED)]
    assert listed == ["item:listed=Patient/p1"]
