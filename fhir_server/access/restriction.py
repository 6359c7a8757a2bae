"""The one rule: what a caller may do with a type, and the filter on which instances.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#patient-specific-scopes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_server.access import roles
from fhir_server.access.caller import Caller
from fhir_server.access.concealment import concealed, without
from fhir_server.access.criteria import InvalidCriteria, compiled
from fhir_server.access.denials import OWNED as OWNED
from fhir_server.access.grant import Grant
from fhir_server.access.right import Right
from fhir_server.access.scopes import Scope
from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import forbidden
from fhir_server.search.blinding import Blinding
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


ABOUT_SEVERAL = frozenset({"AuditEvent"})
"""Types in the patient compartment of which one patient sees those only that name no other patient."""

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


def restriction(
    caller: Caller,
    resource_type: str,
    right: Right,
    blinding: Blinding | None = None,
    guards: frozenset[str] = frozenset(),
) -> Restriction:
    """Raises 403 where no scope gives the right, before the database is asked; the filter is for an index blinded.

    `guards` is what of labels and consents there is in the tenant.
    """
    permitted = _restriction(caller, resource_type, right, blinding)
    hidden = concealed(caller, resource_type, right, guards)
    return Restriction(without(permitted.filter, hidden)) if hidden else permitted


@lru_cache(maxsize=8192)
def _restriction(caller: Caller, resource_type: str, right: Right, blinding: Blinding | None) -> Restriction:
    reach = _reach(caller, resource_type, right)
    granting = [scope for scope in caller.scopes if reach and scope.permits(resource_type, right)]
    found = (_instances(scope, caller, resource_type, right, blinding) for scope in granting)
    filters = [each for each in found if each is not None]
    if not filters or not reach:
        raise forbidden(f"This access token gives no right to {_VERB[right]} {resource_type}.")
    return Restriction(_both(_any(filters), _any(reach)))


def _instances(
    scope: Scope, caller: Caller, resource_type: str, right: Right, blinding: Blinding | None
) -> Mapping[str, Any] | None:
    """The filter of one scope; `{}` is every instance, `None` is no right at all."""
    own = _of_patient(caller.patient, resource_type, right) if scope.context == "patient" else {}
    if own is None or not scope.criteria:
        return own
    try:
        return _both(own, compiled(resource_type, scope.criteria, blinding))
    except InvalidCriteria:  # An encrypted tenant cannot ask everything that another can.
        return None


def _of_patient(patient_id: str | None, resource_type: str, right: Right) -> Mapping[str, Any] | None:
    """A `patient/` scope without a patient, or on a type that is about no patient, gives nothing."""
    if patient_id is None:
        return None
    patient = f"Patient/{patient_id}"
    if resource_type in ABOUT_SEVERAL:
        return {"$and": [{"cmp": patient}, {"cmp": {"$size": 1}}]}
    if resource_type == "Patient" or definitions.compartment("Patient").get(resource_type):
        return {"cmp": patient}
    if resource_type in OWNED:
        return {"tok": f"{OWNED[resource_type]}={patient}"}
    return {} if resource_type in SHARED and right in _LOOKING else None


def _reach(caller: Caller, resource_type: str, right: Right) -> list[Mapping[str, Any]]:
    """Filters of which one must hold, whatever the scopes say: where a person is asking, what the roles reach."""
    if caller.roles is None:
        return [{}]
    found = [role for name in caller.roles if (role := roles.known().get(name))]
    permitting = {role.of for role in found if role.permits(resource_type, right)}
    if "all" in permitting or not permitting:
        return [{}] if permitting else []
    return [each for each in _own(caller, resource_type, right) if each is not None]


def _own(caller: Caller, resource_type: str, right: Right) -> Iterator[Mapping[str, Any] | None]:
    """The patients that the person may act for, and what others share with the person."""
    for patient in caller.acts_for:
        yield _of_patient(patient, resource_type, right)
    for grant in caller.grants:
        if grant.permits(resource_type, right):
            yield _shared(grant, resource_type, right)


def _shared(grant: Grant, resource_type: str, right: Right) -> Mapping[str, Any] | None:
    if grant.resource_type == "Patient":
        return _of_patient(grant.resource_id, resource_type, right)
    return {"id": grant.resource_id}


def _any(filters: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One of these holds; `{}` always does."""
    if not all(filters):
        return {}
    distinct = [each for number, each in enumerate(filters) if each not in filters[:number]]
    return distinct[0] if len(distinct) == 1 else {"$or": distinct}


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    if one == other or not one or not other:
        return one or other
    return {"$and": [one, other]}
