"""Patients and visits in a line each, so that a person recognizes them.  https://hl7.org/fhir/R4/datatypes.html#HumanName"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.fhir.resource import Resource

_USES = ("official", "usual", "", "nickname", "anonymous", "old", "maiden", "temp")
"""In this order a name is what somebody is called."""

_CLASSES = {
    "AMB": "ambulatory",
    "EMER": "emergency",
    "IMP": "inpatient",
    "HH": "at home",
    "VR": "by video or telephone",
}


def patient_label(patient: Resource) -> dict[str, str]:
    born, gender = patient.get("birthDate", ""), patient.get("gender", "")
    number = next((each["value"] for each in patient.get("identifier", ()) if "value" in each), "")
    about = [f"born {born}" if born else "", gender if gender not in ("unknown", "other") else "", number]
    return {"name": name_of(patient), "about": ", ".join(filter(None, about))}


def encounter_label(encounter: Resource) -> dict[str, str]:
    start = str(encounter.get("period", {}).get("start", ""))[:10]
    kind = next((text for each in encounter.get("type", ()) if (text := _concept(each))), "")
    coded = encounter.get("class", {})
    where = coded.get("display") or _CLASSES.get(coded.get("code", ""), "")
    about = ", ".join(filter(None, (where, encounter.get("status", ""))))
    return {"name": " ".join(filter(None, (start, kind))) or "Visit without a date", "about": about}


def name_of(patient: Resource) -> str:
    names = sorted(patient.get("name", ()), key=lambda each: _USES.index(each.get("use", "")))
    texts = (each.get("text") or " ".join([*each.get("given", ()), each.get("family", "")]).strip() for each in names)
    return next(filter(None, texts), f"Patient {patient['id']}")


def _concept(concept: Mapping[str, Any]) -> str:
    displays = (coding.get("display") for coding in concept.get("coding", ()))
    return concept.get("text") or next(filter(None, displays), "")
