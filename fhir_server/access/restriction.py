"""The one rule: what a caller may do with a type, and the filter on which instances.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#patient-specific-scopes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.access.criteria import compiled
from fhir_server.access.right import Right
from fhir_server.access.scopes import Scope
from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import forbidden
from fhir_server.search.index import Index
from fhir_server.search.match import matches

WHO_AND_WHERE = frozenset(
    {
        "HealthcareService",
        "Location",
        "Organization",
        "OrganizationAffiliation",
        "Practitioner",
        "PractitionerRole",
    }
)
WHAT_IS_PRESCRIBED = frozenset({"Medication", "MedicationKnowledge"})
DEFINITIONS = frozenset(
    {
        "ActivityDefinition",
        "CapabilityStatement",
        "CodeSystem",
        "CompartmentDefinition",
        "ConceptMap",
        "ImplementationGuide",
        "Library",
        "Measure",
        "NamingSystem",
        "OperationDefinition",
        "PlanDefinition",
        "Questionnaire",
        "SearchParameter",
        "StructureDefinition",
        "ValueSet",
    }
)
SHARED = WHO_AND_WHERE | WHAT_IS_PRESCRIBED | DEFINITIONS
"""Types outside the patient compartment, about no patient, that a `patient/` scope may read: a chart points to them."""

OWNED = {"Device": "patient"}
"""Types outside the patient compartment that are one patient's by a reference parameter. US Core: Implantable Device"""

_LOOKING = frozenset({Right.READ, Right.SEARCH})
_VERB = {
    Right.CREATE: "create",
    Right.READ: "read",
    Right.UPDATE: "update",
    Right.DELETE: "delete",
    Right.SEARCH: "search",
}


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which instances of a type: those that match `filter`. `{}` is every one; no right at all is 403 instead."""

    filter: Mapping[str, Any]

    def permits(self, resource_type: str, resource_id: str, index: Index) -> bool:
        """Whether a state, before or after a write, is one that the caller may have to do with."""
        return not self.filter or matches({"rt": resource_type, "id": resource_id, **index.as_document()}, self.filter)


UNRESTRICTED = Restriction({})


def restriction(caller: Caller, resource_type: str, right: Right) -> Restriction:
    """Raises 403 where no scope gives the right, before the database is asked."""
    return _restriction(caller, resource_type, right)


@lru_cache(maxsize=8192)
def _restriction(caller: Caller, resource_type: str, right: Right) -> Restriction:
    granting = [scope for scope in caller.scopes if scope.permits(resource_type, right)]
    filters = [each for scope in granting if (each := _instances(scope, caller, resource_type, right)) is not None]
    if not filters:
        raise forbidden(f"This access token gives no right to {_VERB[right]} {resource_type}.")
    if not all(filters):
        return UNRESTRICTED
    return Restriction(filters[0] if len(filters) == 1 else {"$or": filters})


def _instances(scope: Scope, caller: Caller, resource_type: str, right: Right) -> Mapping[str, Any] | None:
    """The filter of one scope; `{}` is every instance, `None` is no right at all."""
    own = _of_patient(caller, resource_type, right) if scope.context == "patient" else {}
    if own is None or not scope.criteria:
        return own
    wanted = compiled(resource_type, scope.criteria)
    return {"$and": [own, wanted]} if own else wanted


def _of_patient(caller: Caller, resource_type: str, right: Right) -> Mapping[str, Any] | None:
    """A `patient/` scope without a patient, or on a type that is about no patient, gives nothing."""
    if caller.patient is None:
        return None
    patient = f"Patient/{caller.patient}"
    if resource_type == "Patient" or definitions.compartment("Patient").get(resource_type):
        return {"cmp": patient}
    if resource_type in OWNED:
        return {"tok": f"{OWNED[resource_type]}={patient}"}
    return {} if resource_type in SHARED and right in _LOOKING else None
