"""Formats in and out.  https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.rest.negotiation import Format, content, media_type, wanted, without_format


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+json",
        "application/json",
        "*/*",
        "application/*",
        "",
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+json;charset=UTF-8",
        "text/html, application/fhir+json;q=0.5",
        "application/fhir+xml, application/fhir+json",
        "APPLICATION/FHIR+JSON",
    ],
)
def test_json_is_answered_where_the_client_takes_it(accept: str) -> None:
    wanted({b"accept": accept.encode()}, "").check()


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "image/png",
        "application/fhir+turtle",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+xml; fhirVersion=3.0",
        "application/fhir+xml;q=0",
        "application/json;q=0",
        "nonsense",
    ],
)
def test_what_cannot_be_answered_is_406(accept: str) -> None:
    with pytest.raises(FhirError) as refused:
        wanted({b"accept": accept.encode()}, "").check()
    assert refused.value.status == 406


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_format=json", None),
        ("_format=application/fhir%2Bjson", None),
        ("_format=application/fhir+json", None),
        ("_format=application/json", None),
        ("_format=xml", None),
        ("_format=text/xml", None),
        ("_format=application/xml", None),
        ("_format=application/fhir+xml", None),
        ("_format=ttl", 406),
        ("_format=exe", 406),
        ("_format=", 406),
    ],
)
def test_the_format_parameter_overrides_accept(query: str, status: int | None) -> None:
    asked = wanted({b"accept": b"text/html" if status is None else b"*/*"}, query)
    if status is None:
        asked.check()
        return
    with pytest.raises(FhirError) as refused:
        asked.check()
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("accept", "query", "expected"),
    [
        ("application/fhir+xml", "", Format.XML),
        ("application/xml", "", Format.XML),
        ("text/xml", "", Format.XML),
        ("application/fhir+xml; fhirVersion=4.0", "", Format.XML),
        ("application/fhir+xml; fhirVersion=3.0, application/fhir+json", "", Format.JSON),
        ("application/fhir+xml, application/fhir+json", "", Format.JSON),
        ("application/fhir+xml, application/fhir+json;q=0.9", "", Format.XML),
        ("application/fhir+xml, */*;q=0.1", "", Format.XML),
        ("application/fhir+json;q=0.1, */*", "", Format.XML),
        ("application/fhir+json;q=0, */*", "", Format.XML),
        ("application/fhir+xml;q=0.5, application/*;q=0.6", "", Format.JSON),
        ("*/*", "", Format.JSON),
        ("application/fhir+json", "_format=xml", Format.XML),
        ("application/fhir+xml", "_format=json", Format.JSON),
        ("text/html", "", None),
    ],
)
def test_the_better_of_two_formats(accept: str, query: str, expected: Format | None) -> None:
    assert wanted({b"accept": accept.encode()}, query).format is expected


def test_pretty_is_asked_for_in_the_query() -> None:
    assert wanted({}, "_pretty=true").pretty
    assert not wanted({}, "_pretty=false").pretty
    assert not wanted({}, "name=_pretty").pretty


def test_the_two_parameters_end_at_the_door() -> None:
    assert without_format("name=a%20b&_format=json&name=c&_pretty=true") == "name=a+b&name=c"
    assert without_format("name=a%20b") == "name=a%20b"
    assert without_format("_format=json") == ""


@pytest.mark.parametrize(
    ("accept", "is_fhir"),
    [
        ("application/fhir+json", True),
        ("application/fhir+xml", True),
        ("application/json", True),
        ("*/*", False),
        ("image/png", False),
        ("image/png;q=0.4, application/fhir+json", True),
    ],
)
def test_the_content_of_a_binary_is_preferred_unless_fhir_is_named(accept: str, is_fhir: bool) -> None:
    assert wanted({b"accept": accept.encode()}, "").fhir is is_fhir


def test_a_media_type_is_read_with_its_version() -> None:
    assert media_type('application/json; FHIRVersion="4.0.1"').is_json
    assert not media_type("application/json; fhirVersion=3.0").is_json
    assert content({}) is None
