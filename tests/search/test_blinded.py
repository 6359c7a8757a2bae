"""An encrypted tenant answers a search as one that is not encrypted does, or refuses it by name.

`FHIR_TEST_BLINDED` says how many random queries are compared, `FHIR_TEST_SEED` from where they are drawn.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient

from fhir_server.crypto.blind import BlindIndex
from fhir_server.crypto.secret import Key
from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError
from fhir_server.search import registry, sensitive
from fhir_server.search.blinding import SAID, Blinding
from fhir_server.search.index import index
from fhir_server.search.match import matches
from fhir_server.search.own import Own
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from tests.search import arbitrary, naive, random_queries
from tests.search.arbitrary import BASE
from tests.search.collection import Documents, document, pages, prepare

QUERIES = int(os.environ.get("FHIR_TEST_BLINDED", "600"))
SEED = int(os.environ.get("FHIR_TEST_SEED", "4"))
NOW = datetime(2024, 6, 1, tzinfo=UTC)
DRAWN = 16
TYPES = (
    "Account",
    "Claim",
    "Coverage",
    "Device",
    "DocumentReference",
    "Encounter",
    "Location",
    "Medication",
    "Observation",
    "Organization",
    "Patient",
    "Person",
    "Practitioner",
    "RelatedPerson",
    "Task",
    "ValueSet",
)
SSN = "http://hl7.org/fhir/sid/us-ssn"
Resource = dict[str, Any]


def own(tenant: str = "acme", **policy: Any) -> Own:
    key = Key("index/1", tenant.encode().ljust(32, b"."))
    return Own(blinding=Blinding(tenant, sensitive.of(policy) if policy else sensitive.default(), BlindIndex(key)))


ACME = own()


class Both(NamedTuple):
    of_type: dict[str, list[Resource]]
    plain: Documents
    blinded: Documents


@pytest.fixture(scope="module")
def both(mongo_url: str, database_name: str) -> Iterator[Both]:
    chance = random.Random(SEED)
    of_type = {each: [arbitrary.resource(chance, each, f"r{n}") for n in range(DRAWN)] for each in TYPES}
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        found = []
        for name in ("plain", "blinded"):
            with registry.using(ACME) if name == "blinded" else nullcontext():
                documents = [document(each, BASE, NOW) for listed in of_type.values() for each in listed]
            prepare(client[database_name][name], iter(documents))
            found.append(client[database_name][name])
        yield Both(of_type, *found)


def searched(collection: Documents, resource_type: str, query: random_queries.Query) -> list[str]:
    wanted = parse((resource_type,), [*query, ("_count", "5")], lenient=False, base=BASE, now=NOW)
    return sorted(each for page in pages(collection, wanted) for each in page)


def test_random_searches_are_answered_alike(both: Both, counted: Callable[[str, int], None]) -> None:
    chance = random.Random(SEED)
    tally: Counter[str] = Counter()
    different: list[object] = []
    for number in range(QUERIES):
        resource_type = TYPES[number % len(TYPES)]
        query = random_queries.drawn(chance, resource_type, lambda code: _values(both, resource_type, code))  # noqa: B023
        expected = searched(both.plain, resource_type, query)
        answered = _answered(both, resource_type, query)
        if answered is None:
            tally["refused"] += 1
            continue
        tally += Counter(alike=answered == expected, found=bool(answered))
        if answered != expected:
            different.append((resource_type, query, set(answered) ^ set(expected)))
    counted("random searches answered alike by an encrypted tenant", tally["alike"])
    counted("random searches refused by an encrypted tenant", tally["refused"])
    assert not different, "\n".join(map(str, different[:20]))
    assert tally["found"] > QUERIES // 10
    assert tally["refused"] < QUERIES // 4


def _answered(both: Both, resource_type: str, query: random_queries.Query) -> list[str] | None:
    """None where the search is refused because of what it asks of values that cannot be read."""
    try:
        with registry.using(ACME):
            return searched(both.blinded, resource_type, query)
    except FhirError as problem:
        if "this tenant is encrypted" in str(problem).lower():
            return None
        raise


def _values(both: Both, resource_type: str, code: str) -> list[Any]:
    expression = definitions.search_parameters(resource_type)[code].expression
    return [value for each in both.of_type[resource_type] for value in naive.extracted(each, expression)]


PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"system": SSN, "value": "123-45-6789", "type": {"coding": [{"system": "urn:t", "code": "SS"}]}},
        {"system": "urn:mrn", "value": "AB-12"},
        {"value": "loose"},
    ],
    "name": [{"family": "Nguyễn-Katz", "given": ["Ann"], "text": "Ann Nguyễn-Katz of Somewhere far away"}],
    "telecom": [{"system": "phone", "value": "(555) 010-9999"}, {"system": "email", "value": "Ann@Example.org"}],
    "address": [{"line": ["12 Elm Street"], "city": "Springfield", "postalCode": "01234"}],
    "birthDate": "1980-02-03",
    "communication": [
        {"language": {"coding": [{"system": "urn:m", "code": "M", "display": "Married"}], "text": "as Bob speaks"}}
    ],
    "generalPractitioner": [{"identifier": {"system": "urn:npi", "value": "9876543210"}}],
}


def blinded(resource: Resource, made: Own = ACME) -> dict[str, Any]:
    with registry.using(made):
        return index(resource).as_document()


def finds(name: str, value: str, made: Own = ACME) -> bool:
    with registry.using(made):
        wanted = plan(parse(("Patient",), [(name, value)], lenient=False, base="")).criteria
        return matches(blinded(PATIENT, made), wanted)


def test_nothing_sensitive_can_be_read_in_an_index() -> None:
    said = str(blinded(PATIENT)).lower()
    for value in (
        "45-6789",
        "ab-12",
        "loose",
        "nguy",
        "-katz",
        "ann ",
        "555-01",
        "0109999",
        "@exam",
        " elm",
        "springf",
    ):
        assert value not in said, value
    for value in ("9876543210", "somewhere", "as bob", "n250", "01234", "married"):
        assert value not in said, value
    assert "1980" in said.replace("datetime.datetime(1980", "1980"), "what stays readable is said in the documents"


@pytest.mark.parametrize("value", ["123-45-6789", "123456789", "123 45 6789", "123-456789"])
def test_e04_a_social_security_number_is_found_however_it_is_written(value: str) -> None:
    """And by the words of another tenant it is not."""
    assert finds("identifier", value)
    assert finds("identifier", f"{SSN}|{value}")
    with registry.using(own("other")):
        elsewhere = plan(parse(("Patient",), [("identifier", value)], lenient=False, base="")).criteria
    assert not matches(blinded(PATIENT), elsewhere)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identifier", "urn:mrn|AB-12"),
        ("identifier", "urn:mrn|"),
        ("identifier", "|loose"),
        ("identifier:of-type", "urn:t|SS|123-45-6789"),
        ("identifier:not", "urn:mrn|other"),
        ("general-practitioner:identifier", "urn:npi|9876543210"),
        ("name", "nguyen"),
        ("name", "ann"),
        ("family", "nguyen katz"),
        ("family:exact", "Nguyễn-Katz"),
        ("name", "ann nguyen katz of somew"),
        ("phonetic", "Nuken"),
        ("phone", "5550109999"),
        ("email", "ann@example.org"),
        ("telecom", "phone|555-010-9999"),
        ("address", "12 elm"),
        ("address-postalcode", "01"),
        ("birthdate", "1980-02"),
        ("_filter", "family eq 'nguyen katz'".replace("'", '"')),
        ("_filter", "name sw ngu and identifier eq urn:mrn|AB-12"),
        ("phone:missing", "false"),
        ("language:missing", "false"),
        ("general-practitioner:missing", "false"),
    ],
)
def test_what_is_found(name: str, value: str) -> None:
    assert finds(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identifier", "urn:mrn|AB12"),
        ("identifier", "urn:mrn|ab-12"),
        ("identifier", "urn:other|123-45-6789"),
        ("identifier", "123-45-6788"),
        ("identifier:not", "urn:mrn|AB-12"),
        ("name", "guyen"),
        ("family", "nguyen katz z"),
        ("family:exact", "nguyen-katz"),
        ("_filter", 'family eq "nguyen"'),
        ("phone", "ann@example.org"),
        ("phone:missing", "true"),
    ],
)
def test_what_is_not_found(name: str, value: str) -> None:
    assert not finds(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name:contains", "guy"),
        ("identifier:text", "social"),
        ("language:text", "married"),
        ("identifier:in", "urn:vs"),
        ("_sort", "family"),
        ("_sort", "-identifier"),
        ("_filter", 'name co "guy"'),
        ("_filter", 'name gt "guy"'),
        ("_filter", "identifier ne 1"),
        ("name", "ann nguyen katz of somewh"),
    ],
)
def test_what_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(FhirError, match="tenant is encrypted") as refused:
        finds(name, value)
    assert refused.value.status == 400
    assert re.sub(r":.*", "", name if name[0] != "_" else value.split()[0].strip("-")) in str(refused.value)


def test_e03_the_same_value_is_another_word_elsewhere() -> None:
    """In another tenant, and in another parameter."""
    other = own("other")
    assert set(blinded(PATIENT)["str"]) & set(blinded(PATIENT, other)["str"]) == {f"language:{SAID}"}
    tokens = blinded({"resourceType": "Patient", "telecom": [{"system": "phone", "value": "5550109999"}]})["tok"]
    words = [re.split(r"[:|]", each)[-1] for each in tokens if each.startswith(("phone:", "telecom:"))]
    assert len(words) == len(set(words)) == 2
    assert all(len(word) == 22 for word in words), "132 bits of 16 bytes"


def test_a_policy_decides() -> None:
    clear = own(clear=["Patient.family"], codes=["language"], texts="on", prefix=3)
    entries = blinded(PATIENT, clear)
    assert "family:nguyen katz\tNguyễn-Katz" in entries["str"]
    assert not any(each.startswith("language:M") for each in entries["tok"])
    assert finds("family:contains", "katz", clear)
    assert finds("language", "M", clear)
    with pytest.raises(FhirError, match="first 3 characters"):
        finds("name", "nguyen", clear)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"kind": []}, "'kind' is no row"),
        ({"kinds": ["date"]}, "can be blinded"),
        ({"clear": "name"}, "list of words"),
        ({"clear_types": ["Pateint"]}, "no resource type"),
        ({"prefix": 0}, "from 1 to 64"),
        ({"prefix": True}, "from 1 to 64"),
        ({"texts": "maybe"}, "on or off"),
    ],
)
def test_a_policy_that_says_nothing_is_refused(policy: dict[str, Any], said: str) -> None:
    with pytest.raises(FhirError, match=said):
        sensitive.of(policy)


def test_a_policy_is_stored_as_it_is_read() -> None:
    policy = sensitive.of({"prefix": 5, "clear": ["name"]})
    assert sensitive.of(sensitive.as_data(policy)) == policy
