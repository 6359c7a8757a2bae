"""What a caller may do, from its scopes alone.  https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.restriction import DEFINITIONS, OWNED, SHARED, restriction
from fhir_server.access.right import Right
from fhir_server.access.scopes import Scopes
from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError
from fhir_server.search.index import index

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LABORATORY = f"patient/Observation.cruds?category={CATEGORY}|laboratory"


def caller(scope: str, patient: str | None = "p1") -> Caller:
    return Caller("acme", "s", "c", Scopes.parse(scope).resources, patient)


def observation(subject: str = "p1", category: str = "laboratory", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{subject}"},
        **more,
    }


def permits(scope: str, resource: dict[str, Any], right: Right = Right.READ, patient: str | None = "p1") -> bool:
    allowed = restriction(caller(scope, patient), resource["resourceType"], right)
    return allowed.permits(resource["resourceType"], resource["id"], index(resource))


def refused(scope: str, resource_type: str, right: Right, patient: str | None = "p1") -> bool:
    try:
        restriction(caller(scope, patient), resource_type, right)
    except FhirError as problem:
        return problem.status == 403
    return False


@pytest.mark.parametrize("scope", ["system/*.cruds", "user/Observation.r", "user/*.read"])
def test_wide_scopes_restrict_nothing(scope: str) -> None:
    assert restriction(caller(scope), "Observation", Right.READ).filter == {}


@pytest.mark.parametrize(
    ("scope", "right"),
    [
        ("system/Patient.s", Right.READ),
        ("system/Patient.r", Right.SEARCH),
        ("system/Patient.c", Right.UPDATE),
        ("system/Patient.u", Right.CREATE),
        ("system/Patient.cru", Right.DELETE),
        ("system/Observation.cruds", Right.READ),
        ("openid fhirUser", Right.READ),
    ],
)
def test_each_right_stands_for_itself(scope: str, right: Right) -> None:
    assert refused(scope, "Patient", right)


def test_a_patient_scope_reaches_the_compartment_only() -> None:
    assert restriction(caller("patient/*.rs"), "Observation", Right.SEARCH).filter == {"cmp": "Patient/p1"}
    assert permits("patient/*.rs", observation())
    assert not permits("patient/*.rs", observation(subject="p2"))
    assert permits("patient/*.rs", {"resourceType": "Patient", "id": "p1"})
    assert not permits("patient/*.rs", {"resourceType": "Patient", "id": "p2"})


def test_focus_does_not_bring_a_resource_into_the_compartment() -> None:
    assert not permits("patient/*.rs", observation(subject="p2", focus=[{"reference": "Patient/p1"}]))


def test_a_patient_scope_without_a_patient_gives_nothing() -> None:
    assert refused("patient/*.cruds", "Observation", Right.READ, patient=None)
    assert refused("patient/*.cruds", "Practitioner", Right.READ, patient=None)


@pytest.mark.parametrize("resource_type", sorted(SHARED))
def test_types_about_no_patient_can_be_read_but_not_written(resource_type: str) -> None:
    assert restriction(caller("patient/*.cruds"), resource_type, Right.READ).filter == {}
    assert restriction(caller("patient/*.cruds"), resource_type, Right.SEARCH).filter == {}
    for right in (Right.CREATE, Right.UPDATE, Right.DELETE):
        assert refused("patient/*.cruds", resource_type, right)


def test_every_other_type_outside_the_compartment_is_refused() -> None:
    inside = {name for name, codes in definitions.compartment("Patient").items() if codes} | {"Patient"}
    for resource_type in definitions.resource_types() - inside - SHARED - OWNED.keys():
        assert refused("patient/*.cruds", resource_type, Right.READ), resource_type


def test_the_tables_name_types_outside_the_compartment() -> None:
    inside = {name for name, codes in definitions.compartment("Patient").items() if codes}
    assert not (SHARED | OWNED.keys()) & inside
    assert definitions.resource_types() >= SHARED | OWNED.keys()
    assert "StructureDefinition" in DEFINITIONS


def test_a_device_is_its_patients() -> None:
    device = {"resourceType": "Device", "id": "d1", "patient": {"reference": "Patient/p1"}}
    assert permits("patient/*.rs", device)
    assert not permits("patient/*.rs", device, patient="p2")
    assert not permits("patient/*.rs", {"resourceType": "Device", "id": "d1"})


def test_a_granular_scope_narrows_the_compartment() -> None:
    assert permits(LABORATORY, observation())
    assert not permits(LABORATORY, observation(category="vital-signs"))
    assert not permits(LABORATORY, observation(subject="p2"))


def test_a_write_that_would_leave_the_scope_is_not_permitted() -> None:
    assert permits(LABORATORY, observation(), Right.UPDATE)
    assert not permits(LABORATORY, observation(category="vital-signs"), Right.UPDATE)


def test_several_scopes_add_up() -> None:
    both = f"{LABORATORY} patient/Observation.rs?category={CATEGORY}|vital-signs"
    assert permits(both, observation())
    assert permits(both, observation(category="vital-signs"))
    assert not permits(both, observation(category="social-history"))
    assert not permits(both, observation(subject="p2"))


def test_the_widest_scope_decides() -> None:
    assert restriction(caller(f"{LABORATORY} user/Observation.rs"), "Observation", Right.READ).filter == {}
    assert permits(f"{LABORATORY} patient/Observation.rs", observation(category="vital-signs"))


def test_a_granular_scope_without_context_is_its_criteria() -> None:
    scope = f"system/Observation.rs?category={CATEGORY}|laboratory"
    assert permits(scope, observation(subject="p2"), patient=None)
    assert not permits(scope, observation(category="vital-signs"), patient=None)


def test_the_system_may_do_everything_and_nobody_nothing() -> None:
    system = Caller.system("acme", "load")
    assert all(restriction(system, "AuditEvent", right).filter == {} for right in Right)
    with pytest.raises(FhirError):
        restriction(Caller.nobody("acme"), "Patient", Right.READ)


def test_callers_are_told_apart_by_what_they_may_do() -> None:
    one, same = caller("patient/*.rs openid"), caller("patient/*.rs")
    assert one != same
    assert one.fingerprint == same.fingerprint
    assert caller("patient/*.rs", "p2").fingerprint != one.fingerprint
    assert caller("patient/*.r").fingerprint != one.fingerprint
