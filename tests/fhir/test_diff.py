"""A difference is a patch: applied to the one state it makes the other, digit by digit."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir import diff, fhirpath_patch, json, validate
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.patch import MAX_OPERATIONS
from fhir_server.fhir.resource import Resource
from tests.fhir.test_corpus import is_accepted

PAIRS = 5
LONGEST = 40_000


def applied(patch: Resource, before: Resource) -> Resource:
    validate.check(patch, for_another=True)
    return fhirpath_patch.read(patch)(before)


@pytest.mark.slow
def test_the_difference_of_any_two_examples_makes_one_of_the_other(r4_package: Path) -> None:
    found: dict[str, list[Resource]] = defaultdict(list)
    for file in sorted(r4_package.glob("[A-Z]*.json")):
        if file.stat().st_size < LONGEST:
            resource = json.trusted(file.read_bytes())
            found[resource["resourceType"]].append({**resource, "id": "x"})
    chosen, done = random.Random(4), 0
    for resources in found.values():
        for _ in range(min(PAIRS, len(resources) ** 2)):
            before, after = ({**chosen.choice(resources), "meta": {"profile": ["p"]}} for _ in range(2))
            patch = diff.between(before, after)
            if len(patch.get("parameter", ())) <= MAX_OPERATIONS and is_accepted(before):
                assert diff.frozen(applied(patch, before)) == diff.frozen(after)
                done += 1
    assert done > 400


def patient(**more: Any) -> Resource:
    return {"resourceType": "Patient", "id": "p", **more}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (patient(multipleBirthInteger=2), patient(multipleBirthBoolean=True)),
        (patient(extension=[{"url": "u", "valueDecimal": "1.0"}]), patient(extension=[{"url": "v", "valueCode": "x"}])),
        (patient(_birthDate={"id": "a"}), patient(birthDate="2000", _birthDate={"id": "b"})),
        (patient(name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}]), patient(name=[{"given": ["b", "a"]}])),
        (patient(text={"status": "empty", "div": "<div>a</div>"}), patient()),
        (patient(), patient(text={"status": "empty", "div": "<div>a</div>"})),
        (patient(contained=[{"resourceType": "Person"}]), patient(contained=[{"resourceType": "Group", "type": "a"}])),
        (
            patient(name=[{"text": str(n)} for n in range(1_500)]),
            patient(name=[{"text": str(n)} for n in range(1_501)]),
        ),
        (patient(contact=[{"gender": "male"}]), patient(contact=[{"name": {"family": "x"}}, {"gender": "female"}])),
    ],
)
def test_both_ways(before: Resource, after: Resource) -> None:
    for one, other in ((before, after), (after, before)):
        assert diff.frozen(fhirpath_patch.read(diff.between(one, other))(one)) == diff.frozen(other)


def test_a_digit_is_a_difference() -> None:
    before, after = (
        json.trusted(b'{"resourceType":"Observation","valueQuantity":{"value":%b}}' % n) for n in (b"1.0", b"1.00")
    )
    assert len(diff.between(before, after)["parameter"]) == 1
    assert str(applied(diff.between(before, after), before)["valueQuantity"]["value"]) == "1.00"


def test_the_order_of_members_is_none() -> None:
    assert "parameter" not in diff.between(patient(active=True, gender="male"), patient(gender="male", active=True))


def test_what_the_server_sets_is_none() -> None:
    one = patient(meta={"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z"})
    other = {**one, "id": "q", "meta": {"versionId": "2", "tag": [{"code": "a"}]}}
    assert "parameter" not in diff.between(one, other, meta=False)
    (row,) = diff.between(one, other)["parameter"]
    assert {"name": "name", "valueString": "tag"} in row["part"]


def test_a_patch_may_refer_to_what_the_patched_contains_but_nothing_else_may() -> None:
    part = {"name": "value", "valueReference": {"reference": "#o1"}}
    parameters = {"resourceType": "Parameters", "parameter": [part]}
    validate.check(parameters, for_another=True)
    with pytest.raises(FhirError):
        validate.check(parameters)
    with pytest.raises(FhirError):
        validate.check({**parameters, "parameter": [{**part, "nonsense": 1}]}, for_another=True)
