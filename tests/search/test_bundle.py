"""The searchset Bundle: stored bytes stay as they are, and what is left out is said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.version import Version
from fhir_server.search.bundle import searchset
from fhir_server.search.parse import parse

BODY = (
    b'{"resourceType":"Patient","id":"p1","meta":{"versionId":"1","tag":[{"system":"http://t","code":"vip"}]},'
    b'"text":{"status":"generated","div":"<div>x</div>"},"active":true,"birthDate":"1980-01-01","_birthDate":{"id":"b"},'
    b'"name":[{"family":"Smith","extension":[{"url":"http://e","valueDecimal":1.00}]}],"photo":[{"title":"me","url":"http://p"}],'
    b'"contact":[{"name":{"family":"Other"}}],"link":[{"other":{"reference":"Patient/p2"},"type":"seealso"}]}'
)
OBSERVATION = (
    b'{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
)
BASE = "https://ehr/fhir/a"


def version(body: bytes) -> Version:
    known = json.trusted(body)
    return Version("a", known["resourceType"], known["id"], 1, datetime(2024, 1, 1, tzinfo=UTC), "PUT", body)


def answer(text: str, *bodies: bytes, kind: str = "Patient", lenient: bool = False, **more: Any) -> bytes:
    query = parse((kind,), parse_qsl(text), lenient=lenient, base=BASE)
    return searchset(query, map(version, bodies), base=BASE, self_link=f"{BASE}/{kind}", **more)


def first(text: str, body: bytes = BODY, kind: str = "Patient") -> dict[str, Any]:
    found: dict[str, Any] = json.trusted(answer(text, body, kind=kind))["entry"][0]["resource"]
    return found


def test_the_bytes_are_the_stored_ones() -> None:
    assert BODY in answer("", BODY, OBSERVATION)


def test_the_bundle() -> None:
    bundle = json.trusted(answer("", BODY, total=1, next_link=f"{BASE}/Patient?_cursor=x"))
    assert list(bundle) == ["resourceType", "type", "total", "link", "entry"]
    assert bundle["total"] == 1
    assert [each["relation"] for each in bundle["link"]] == ["self", "next"]
    assert bundle["entry"][0]["fullUrl"] == f"{BASE}/Patient/p1"
    assert bundle["entry"][0]["search"] == {"mode": "match"}


def test_an_empty_page_has_no_entries() -> None:
    bundle = json.trusted(answer("", total=0))
    assert "entry" not in bundle
    assert bundle["total"] == 0


def test_what_was_ignored_is_an_outcome_entry() -> None:
    entry = json.trusted(answer("nme=x", lenient=True))["entry"][-1]
    assert entry["search"] == {"mode": "outcome"}
    assert entry["resource"]["issue"][0]["severity"] == "warning"


def test_elements_keep_what_is_mandatory_and_are_tagged() -> None:
    found = first("_elements=birthDate")
    assert set(found) == {"resourceType", "id", "meta", "birthDate", "_birthDate"}
    assert [tag["code"] for tag in found["meta"]["tag"]] == ["vip", "SUBSETTED"]


def test_elements_of_an_observation() -> None:
    assert set(first("_elements=value", OBSERVATION, "Observation")) == {
        "resourceType",
        "id",
        "meta",
        "status",
        "code",
        "valueQuantity",
    }


def test_the_summary_has_summary_elements_at_every_depth() -> None:
    found = first("_summary=true")
    assert set(found) == {"resourceType", "id", "meta", "active", "birthDate", "_birthDate", "name", "link"}
    assert found["name"] == [{"family": "Smith"}]
    assert found["link"] == [{"other": {"reference": "Patient/p2"}, "type": "seealso"}]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("_summary=text", {"resourceType", "id", "meta", "text"}),
        (
            "_summary=data",
            {"resourceType", "id", "meta", "active", "birthDate", "_birthDate", "name", "photo", "contact", "link"},
        ),
    ],
)
def test_other_summaries(text: str, keys: set[str]) -> None:
    assert set(first(text)) == keys


def test_the_tag_is_not_repeated() -> None:
    again = json.encode(first("_summary=data"))
    assert [tag["code"] for tag in first("_summary=data", again)["meta"]["tag"]] == ["vip", "SUBSETTED"]


def test_decimals_survive_being_shaped() -> None:
    assert b'"value":1.00' in answer("_summary=data", OBSERVATION, kind="Observation")


def test_no_summary_is_the_whole() -> None:
    assert BODY in answer("_summary=false", BODY)
