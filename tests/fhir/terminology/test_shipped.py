"""The terminology of the R4 package, as it is shipped."""

from __future__ import annotations

from fhir_server.fhir import definitions
from fhir_server.fhir.terminology import shipped
from fhir_server.fhir.terminology.concept_map import translate
from fhir_server.fhir.terminology.value_set import Known, expand, find

KNOWN = Known(shipped.code_system, shipped.value_set)
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
TABLES = ("required_codes.json", "value_sets.json")
NOT_THE_SAME_VERSION = {"http://hl7.org/fhir/ValueSet/task-code", "http://hl7.org/fhir/ValueSet/example-filter"}
"""One names a version of its code system that the package lacks, one a property that nothing declares."""


def test_expansions_are_the_codes_that_validation_goes_by() -> None:
    urls = sorted({url for name in TABLES for url in definitions.table(name)} - NOT_THE_SAME_VERSION)[::10]
    for url in urls:
        value_set = shipped.value_set(url)
        assert value_set is not None, url
        listed = {each.key for each in expand(value_set, KNOWN)}
        assert listed == definitions.codings(url), url
        assert all(find(value_set, KNOWN, *each) for each in sorted(listed)[:5]), url


def test_displays_and_hierarchy_are_there() -> None:
    marital = shipped.code_system("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus")
    acts = shipped.code_system("http://terminology.hl7.org/CodeSystem/v3-ActCode")
    assert marital
    assert acts
    assert marital.concepts["M"].display == "Married"
    assert acts.subsumes("_ActCoverageTypeCode", "EHCPOL")


def test_a_version_is_that_one_or_none() -> None:
    assert shipped.value_set(GENDER, "4.0.1") is not None
    assert shipped.value_set(GENDER, "3.0.1") is None
    assert shipped.code_system("http://hl7.org/fhir/administrative-gender", "3.0.1") is None
    assert shipped.value_set("urn:nothing") is None


def test_maps_are_found_by_the_systems_they_are_of() -> None:
    url = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3"
    assert "http://hl7.org/fhir/administrative-gender" in shipped.concept_maps()[url].systems
    found = shipped.concept_map(url)
    assert found is not None
    assert [each.code for each in translate(found, None, "male", lambda _: None)] == ["M"]
