"""The tables of `capability/` as definitions."""

from __future__ import annotations

from collections import Counter

import pytest

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import codes, codings, compartment, operations, search_parameters, structure

GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


def test_there_are_146_resource_types() -> None:
    assert len(definitions.resource_types()) == 146
    assert {"Patient", "Bundle", "Parameters"} <= definitions.resource_types()
    assert definitions.resource_types().isdisjoint({"Resource", "DomainResource", "MetadataResource", "Quantity"})


@pytest.mark.parametrize("name", sorted(definitions.kinds()))
def test_every_structure_can_be_read(name: str) -> None:
    found = structure(name)
    assert found.name == name
    assert found.elements.keys() <= {name, *(each.path for group in found.elements.values() for each in group)}


def test_an_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        structure("../Patient")


def test_what_is_known_of_an_element() -> None:
    elements = {each.name: each for each in structure("Patient").elements["Patient"]}
    gender, deceased, contact, organization = (
        elements[name] for name in ("gender", "deceased", "contact", "managingOrganization")
    )
    assert gender.binding == definitions.Binding("required", GENDER)
    assert (gender.min, gender.max, gender.many, gender.summary, gender.modifier) == (0, 1, False, True, False)
    assert deceased.json_names() == (("deceasedBoolean", "boolean"), ("deceasedDateTime", "dateTime"))
    assert contact.many
    assert [each.key for each in structure("Patient").elements["Patient"][0].constraints] == []
    assert [each.key for each in contact.constraints] == ["pat-1"]
    assert organization.targets == ("Organization",)
    assert [each.name for each in structure("Patient").elements["Patient"]][:3] == ["id", "meta", "implicitRules"]


def test_constraints_are_inherited_once() -> None:
    keys = [each.key for each in structure("Observation").constraints]
    assert keys == ["dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "obs-6", "obs-7"]
    assert [each.key for each in structure("Age").constraints] == ["ele-1", "qty-3", "age-1"]


def test_what_repeats_another_element() -> None:
    items = {each.name: each for each in structure("Questionnaire").elements["Questionnaire.item"]}
    assert items["item"].content == "Questionnaire.item"
    assert items["item"].json_names() == (("item", ""),)


def test_ids_carry_no_extensions() -> None:
    plain = {each.path: each.types for name in definitions.kinds() for each in _elements(name) if each.plain}
    assert plain["Patient.id"] == ("id",)
    assert plain["HumanName.id"] == ("string",)
    assert plain["Extension.url"] == ("uri",)
    assert {path.rpartition(".")[2] for path in plain} == {"id", "url", "value"}
    assert structure("string").elements["string"][-1].path == "string.value"


def _elements(name: str) -> list[definitions.Element]:
    return [each for group in structure(name).elements.values() for each in group]


def test_search_parameters_by_code() -> None:
    patient = search_parameters("Patient")
    assert {"_id", "_lastUpdated", "_profile", "name", "birthdate", "general-practitioner"} <= patient.keys()
    assert patient["birthdate"].type == "date"
    assert patient["general-practitioner"].targets == ("Practitioner", "Organization", "PractitionerRole")
    assert all("Patient" in each.base or each.base == ("Resource",) for each in patient.values())


def test_there_are_1334_parameters_of_the_seven_types() -> None:
    every = {each.url: each for name in definitions.resource_types() for each in search_parameters(name).values()}
    count = Counter(each.type for each in every.values())
    assert sum(count.values()) == 1381
    assert sum(count[name] for name in ("string", "token", "reference", "date", "number", "quantity", "uri")) == 1334


def test_a_composite_names_its_parts() -> None:
    parts = search_parameters("Observation")["code-value-quantity"].components
    assert [each.url.rpartition("/")[2] for each in parts] == ["clinical-code", "Observation-value-quantity"]
    assert [each.expression for each in parts] == ["code", "value.as(Quantity)"]


def test_codes_of_a_value_set() -> None:
    assert codes(f"{GENDER}|4.0.1") == frozenset({"male", "female", "other", "unknown"})
    assert codings(GENDER) == frozenset(
        ("http://hl7.org/fhir/administrative-gender", code) for code in codes(GENDER) or ()
    )
    assert codes("http://hl7.org/fhir/ValueSet/mimetypes") is None
    assert codes("http://example.org/unknown") is None


def test_almost_every_required_binding_can_be_checked() -> None:
    bound = {
        each.binding.value_set
        for name in definitions.kinds()
        for each in _elements(name)
        if each.binding and each.binding.strength == "required"
    }
    assert {url.rpartition("/")[2] for url in bound if codes(url) is None} == {
        "LL379-9",
        "currencies",
        "mimetypes",
        "ucum-units",
    }


def test_compartments() -> None:
    assert compartment("Patient")["Observation"] == ("subject", "performer")
    assert compartment("Patient")["Patient"] == ("link",)
    assert compartment("Encounter")["Encounter"] == ()
    assert "Medication" not in compartment("Patient")
    for name in ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"):
        for resource_type, found in compartment(name).items():
            assert set(found) <= search_parameters(resource_type).keys()


def test_operations_by_url() -> None:
    everything = operations()["http://hl7.org/fhir/OperationDefinition/Patient-everything"]
    assert (everything.code, everything.resources, everything.type, everything.instance) == (
        "everything",
        ("Patient",),
        True,
        True,
    )
    assert [each.name for each in everything.parameters][:2] == ["start", "end"]
    assert len(operations()) == 46 + 8
