"""The resource that a write brings, checked.  https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

from fhir_server.fhir import definitions, validate
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import bad_value, error, invalid, not_supported
from fhir_server.fhir.resource import ID, Resource


def named(entry: EntryRequest, resource_type: str) -> Resource:
    """The resource of an entry, of the type that the url names."""
    resource = entry.resource
    if resource is None:
        raise error("structure", f"{entry.method} {entry.path} needs a {resource_type} as its body.")
    received = resource.get("resourceType")
    if received is None:
        raise error("structure", "The resource has no resourceType.", expression="resourceType")
    if not isinstance(received, str) or received not in definitions.resource_types():
        raise not_supported(f"{received!r} is not a resource type of FHIR R4.", expression="resourceType")
    if received != resource_type:
        raise invalid(
            f"The resource is of the type {received!r}, but the url says '{resource_type}'.", expression="resourceType"
        )
    return resource


def checked(entry: EntryRequest, resource_type: str) -> Resource:
    resource = named(entry, resource_type)
    validate.check(resource)
    return resource


def with_id(entry: EntryRequest, resource_type: str, resource_id: str) -> Resource:
    """The resource of an update, which carries the id of the url. https://hl7.org/fhir/R4/http.html#update"""
    resource = named(entry, resource_type)
    received = resource.get("id")
    if received is None:
        raise invalid(f"The resource has no id; the url says '{resource_id}'.", expression=f"{resource_type}.id")
    if not isinstance(received, str) or not ID.match(received):
        raise bad_value(f"{received!r} is not a logical id.", expression=f"{resource_type}.id")
    if received != resource_id:
        raise invalid(
            f"The resource has the id '{received}', but the url says '{resource_id}'.", expression=f"{resource_type}.id"
        )
    return resource
