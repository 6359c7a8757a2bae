"""For whom a person may act: what the roles reach, and what others share with the person at this moment.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

from fhir_server.access import roles
from fhir_server.access.caller import Caller
from fhir_server.auth.person import Person
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from fhir_server.store.shares import Shares
from fhir_server.store.tenants import Tenant


def limited_to(person: Person) -> tuple[str, ...] | None:
    """The only patients of somebody whose roles reach more; what reaches one's own patients is limited by that."""
    return None if roles.reach_own(person.roles) else person.patients


async def repository_of(store: Store, tenant: Tenant, person: Person) -> Repository:
    """What this person sees without an application in between."""
    patients = person.patients or ()
    caller = Caller.person(tenant.name, person.user_id, person.roles, patients, fhir_user=person.fhir_user)
    return store.repository(tenant, await store.consents.applied(tenant, await Shares(store).applied(tenant, caller)))


async def patient_of(store: Store, tenant: Tenant, person: Person, resource_id: str) -> Resource | None:
    """A patient for whom this person may act; anybody else is as if not there."""
    limits = limited_to(person)
    if limits is not None and resource_id not in limits:
        return None
    try:
        return (await (await repository_of(store, tenant, person)).current("Patient", resource_id)).resource()
    except FhirError as problem:
        if problem.status >= 500:
            raise
        return None
