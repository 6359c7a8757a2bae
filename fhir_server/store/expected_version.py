"""If-Match: a write that is meant for one version only.  https://hl7.org/fhir/R4/http.html#concurrency"""

from __future__ import annotations

from fhir_server.fhir.outcome import FhirError, precondition_failed
from fhir_server.store.layout import Document


def check(expected: int | None, previous: Document | None, resource_type: str, resource_id: str) -> None:
    """If-Match. https://hl7.org/fhir/R4/http.html#concurrency"""
    if expected is not None and (previous is None or previous["v"] != expected):
        raise failed(expected, resource_type, resource_id)


def failed(expected: int, resource_type: str, resource_id: str) -> FhirError:
    return precondition_failed(f"The current version of {resource_type}/{resource_id} is not '{expected}'.")
