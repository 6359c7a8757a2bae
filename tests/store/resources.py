"""Small resources, and plans that find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.fhir.resource import Resource
from fhir_server.search.parse import parse
from fhir_server.search.plan import Plan, plan

BASE = "https://fhir.example.org/fhir/acme"


def patient(resource_id: str = "p1", family: str = "Smith", **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": resource_id, "name": [{"family": family}], **more}


def observation(resource_id: str, of: str, *, code: str = "8867-4", category: str = "vital-signs") -> Resource:
    return {
        "resourceType": "Observation",
        "id": resource_id,
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category}]}
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": "2024-05-06T07:08:09Z",
    }


def plan_of(text: str, *, types: Sequence[str] = ()) -> Plan:
    """`Patient?name=smith` as a plan; without a type before the `?`, of all types or of `types`."""
    resource_type, _, query = text.partition("?")
    pairs = [tuple(pair.split("=", 1)) for pair in query.split("&") if pair]
    chosen = (resource_type,) if resource_type else tuple(types)
    return plan(parse(chosen, pairs, lenient=False, base=BASE))  # type: ignore[arg-type]
