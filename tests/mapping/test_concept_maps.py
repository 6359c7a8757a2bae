"""The code tables as ConceptMap resources."""

from __future__ import annotations

from fhir_server.fhir import validate
from fhir_server.fhir.terminology.concept_map import translate
from fhir_server.mapping.catalogue import load
from fhir_server.mapping.concept_maps import resources

CATALOGUE = load("pms", base="https://example.org")
MAPS = {each["id"]: each for each in resources(CATALOGUE)}


def test_every_map_is_a_valid_resource() -> None:
    assert MAPS.keys() == CATALOGUE.maps.keys()
    for each in MAPS.values():
        validate.check(each)


def test_a_line_translates_as_the_mapping_does() -> None:
    for name, concept_map in CATALOGUE.maps.items():
        for value, target in concept_map.rows.items():
            (found,) = translate(MAPS[name], concept_map.local, value, MAPS.get)
            expected = target.of(value)
            assert found.equivalence == expected.equivalence
            if expected.coding:
                assert (found.system, found.code) == (expected.coding["system"], expected.coding["code"])
            elif isinstance(expected.code, str):
                assert found.code == expected.code


def test_a_bare_code_is_of_the_system_that_its_element_is_bound_to() -> None:
    (found,) = translate(MAPS["gender"], CATALOGUE.maps["gender"].local, "f", MAPS.get)
    assert (found.system, found.code) == ("http://hl7.org/fhir/administrative-gender", "female")


def test_what_has_no_line_becomes_what_the_map_says_of_others() -> None:
    (found,) = translate(MAPS["gender"], CATALOGUE.maps["gender"].local, "x", MAPS.get)
    assert found.code == "other"
    assert translate(MAPS["gender"], CATALOGUE.maps["gender"].local, "mostly harmless", MAPS.get) == []
