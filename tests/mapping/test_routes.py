"""The way back to a column: every code of a map goes back to a value that means it, or not at all."""

from typing import Any

import pytest

from fhir_server.mapping import catalogue
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.edits import edited, unmet
from fhir_server.mapping.routes import NoWayBack, Route, route
from fhir_server.mapping.text import folded

SOURCES = ("pms", "emr", "hpms", "mk")


def routes(found: Catalogue) -> list[Route]:
    return [
        route(found.tables[each.table], output, each.elements, name, found)
        for each in found.writeback.values()
        for output in found.tables[each.table].outputs
        if output.name == each.output
        for name in each.columns
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_a_code_goes_back_to_a_value_that_means_it(source: str) -> None:
    found = catalogue.load(source)
    for each in [way for way in routes(found) if way.maps]:
        (concept_map,) = each.maps
        for code in {target.code for target in concept_map.rows.values()}:
            try:
                value = each.value({"status": code})
            except NoWayBack:
                continue
            assert concept_map.rows[folded(value)].code == code
            assert str(value) in each.documented


@pytest.mark.parametrize(
    ("code", "value"),
    [("booked", "scheduled"), ("fulfilled", "completed"), ("cancelled", "cancelled"), ("noshow", "no_show")],
)
def test_of_several_values_the_one_that_means_exactly_this(code: str, value: str) -> None:
    (status,) = [each for each in routes(catalogue.load("pms")) if each.column == "status"]
    assert status.value({"status": code}) == value


@pytest.mark.parametrize("code", ["pending", "arrived", "waitlist", "proposed"])
def test_a_code_without_a_documented_value_has_no_way_back(code: str) -> None:
    (status,) = [each for each in routes(catalogue.load("pms")) if each.column == "status"]
    with pytest.raises(NoWayBack, match="no value of status"):
        status.value({"status": code})


@pytest.mark.parametrize(
    ("column", "resource", "value"),
    [
        ("phone_mobile", {"telecom": [{"system": "phone", "use": "mobile", "value": "1"}]}, "1"),
        ("phone_mobile", {"telecom": [{"system": "phone", "use": "home", "value": "1"}]}, None),
        ("email", {"telecom": [{"system": "email", "use": "home", "value": "a@b.c", "rank": 1}]}, "a@b.c"),
        ("address_line2", {"address": [{"use": "old"}, {"use": "home", "line": ["1", "2"]}]}, "2"),
        ("address_line2", {"address": [{"use": "home", "line": ["1"]}]}, None),
        ("city", {"address": {"city": "no list"}}, None),
        ("city", {}, None),
    ],
)
def test_where_a_value_stands(column: str, resource: dict[str, Any], value: str | None) -> None:
    (found,) = [each for each in routes(catalogue.load("pms")) if each.column == column]
    assert found.value(resource) == value


def test_the_order_of_a_list_says_nothing_and_meta_is_the_servers() -> None:
    base = {"resourceType": "Patient", "meta": {"versionId": "1"}, "telecom": [{"value": "1"}, {"value": "2"}]}
    same = {"resourceType": "Patient", "meta": {"versionId": "2"}, "telecom": [{"value": "2"}, {"value": "1"}]}
    assert edited(base, same) == ()
    assert edited(base, {**same, "active": True, "telecom": [{"value": "2"}]}) == ("active", "telecom")
    assert unmet(("active",), {"active": True}, {"active": True}) == ()
    assert unmet(("telecom",), base, {"telecom": [{"value": "1"}] * 2}) == ("telecom",)
