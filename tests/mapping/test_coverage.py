"""What declarations have a place for, what resources have of it, and which concepts carry a code."""

from typing import Any

import pytest

from fhir_server.mapping import coverage
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.coverage import Stored
from fhir_server.mapping.elements import Place, root
from fhir_server.mapping.profiles import EXTENSION, Alternatives, met, written


def test_every_path_of_a_profile_is_one_of_r4(pms: Catalogue) -> None:
    for profile in pms.profiles.values():
        for wanted in (*profile.mandatory, *profile.supports):
            for path in wanted:
                place: Place = root(profile.resource_type)
                for step in path:
                    place = place.child("extension" if step.startswith(EXTENSION) else step.partition("=")[0])


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("name.family", True),
        ("name.suffix", False),
        ("name.use=old", False),
        ("name.use=official", True),
        ("name.use=old or name.family", True),
        ("extension(us-core-race)", True),
        ("extension(us-core-sex)", False),
    ],
)
def test_an_element_is_met(path: str, has: bool) -> None:
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "name": [{"use": "official", "family": "Ng"}],
        "extension": [{"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"}],
    }
    wanted: Alternatives = tuple(tuple(each.split(".")) for each in path.split(" or "))
    assert written(wanted) == path
    assert met(patient, wanted) is has


def test_the_shape_of_an_output_has_what_columns_may_give(pms: Catalogue) -> None:
    clients = pms.tables["clients"]
    shape = coverage.shape(clients.outputs[0], pms)
    assert met(shape, (("telecom", "value"),)), "a converter makes the whole data type"
    assert met(shape, (("extension(us-core-ethnicity)",),))
    assert not met(shape, (("name", "use=old"),)), "a constant is what it says"
    assert not met(shape, (("photo",),))
    schedule = next(each for each in pms.tables["providers"].outputs if each.resource_type == "Schedule")
    assert met(coverage.shape(schedule, pms), (("identifier", "value"),)), "the key of the row is in every resource"


def test_columns_add_up(pms: Catalogue) -> None:
    for each in coverage.columns(pms.tables.values()):
        assert len(each.used) + len(each.dropped) == len(pms.tables[each.table].columns)


def test_places_for_concepts_may_have_a_code_or_only_words(pms: Catalogue) -> None:
    found = {each.path: each for each in coverage.shares(coverage.declared_concepts(pms.tables.values()))}
    assert found["Condition.code"].share == 1
    assert found["MedicationStatement.medicationCodeableConcept"].coded == 0


def test_stored_resources_are_counted(pms: Catalogue) -> None:
    counted, url = Stored(pms), pms.profiles["us-core-patient"].url
    counted.add({"resourceType": "Patient", "meta": {"profile": [url]}, "gender": "female"})
    counted.add({"resourceType": "Patient", "meta": {"profile": [url]}, "maritalStatus": {"text": "it is complicated"}})
    counted.add({"resourceType": "Patient", "birthDate": "1980"})
    assert counted.resources == {"us-core-patient": 2}
    assert counted.supports["us-core-patient"]["gender"] == 1
    assert counted.supports["us-core-patient"]["birthDate"] == 0
    assert coverage.shares(counted.concepts) == [coverage.Share("Patient.maritalStatus", 0, 1)]
