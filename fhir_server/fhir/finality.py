"""Which element says that a record is final, and what it says once the record was amended.

https://hl7.org/fhir/R4/valueset-observation-status.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.fhir.resource import Resource

ERROR: Final = "entered-in-error"


@dataclass(frozen=True, slots=True)
class Finality:
    element: str
    final: frozenset[str]
    amended: str = "amended"


def _status(*final: str, element: str = "status") -> Finality:
    return Finality(element, frozenset({*final, "amended"}))


FINALITIES: Final[Mapping[str, Finality]] = {
    "Composition": _status("final"),
    "Contract": _status("executed", "appended"),
    "DetectedIssue": _status("final", "corrected"),
    "DiagnosticReport": _status("final", "corrected", "appended"),
    "DocumentReference": _status("final", element="docStatus"),
    "Observation": _status("final", "corrected"),
    "QuestionnaireResponse": _status("completed"),
    "RiskAssessment": _status("final", "corrected"),
}
"""Every type that has such a status; others are only locked by a signature, and keep their status when amended."""


def is_final(resource: Resource) -> bool:
    found = FINALITIES.get(resource["resourceType"])
    return found is not None and resource.get(found.element) in found.final


def amended(resource: Resource) -> Resource:
    """The resource with the status of what was amended; what is said to be an error stays one."""
    found = FINALITIES.get(resource["resourceType"])
    if found is None or ERROR in (resource.get("status"), resource.get(found.element)):
        return resource
    return {**resource, found.element: found.amended}
