"""One resource of every type for each patient and tenant, each marked so that it is known wherever it shows."""

from __future__ import annotations

import re
from typing import Any

from fhir_server.access.restriction import OWNED
from fhir_server.fhir import definitions

CANARY = re.compile(r"CANARY-([a-z0-9]+)-([A-Za-z]+)")
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
OWN, ANOTHER, NEIGHBOUR, ABOUT_NOBODY, VITAL = "a1own", "a2another", "b", "all", "vital"
IN_COMPARTMENT = frozenset(name for name, codes in definitions.compartment("Patient").items() if codes)


def of_tenant() -> list[dict[str, Any]]:
    """Of two patients, and one of each type that is about no patient."""
    found = [marked(resource_type, ANOTHER, ANOTHER) for resource_type in sorted(IN_COMPARTMENT | OWNED.keys())]
    found += [marked(resource_type, OWN, OWN) for resource_type in sorted(IN_COMPARTMENT | OWNED.keys())]
    nobodys = definitions.resource_types() - IN_COMPARTMENT - OWNED.keys()
    found += [marked(resource_type, ANOTHER, ABOUT_NOBODY) for resource_type in sorted(nobodys)]
    vital = {**marked("Observation", OWN, VITAL), "id": "v1"}
    return [*found, {**vital, "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}]}]


def of_neighbour() -> list[dict[str, Any]]:
    """Under the same ids."""
    return [marked(resource_type, ANOTHER, NEIGHBOUR) for resource_type in sorted(definitions.resource_types())]


def marked(resource_type: str, patient: str, owner: str) -> dict[str, Any]:
    """The id is that of the patient; the mark is a tag, which searches, versions and `$meta` show."""
    tag = {"system": "urn:canary", "code": f"CANARY-{owner}-{resource_type}"}
    about = _about(resource_type, {"reference": f"Patient/{patient}"}) if resource_type != "Patient" else {}
    category = {"category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}]}
    more = category if resource_type == "Observation" else {}
    return {"resourceType": resource_type, "id": patient, "meta": {"tag": [tag]}, **about, **more}


def _about(resource_type: str, patient: dict[str, Any]) -> dict[str, Any]:
    """The element that puts a resource into the compartment of its patient."""
    codes = definitions.compartment("Patient").get(resource_type) or (OWNED.get(resource_type),)
    if codes[0] is None:
        return {}
    paths = definitions.search_parameters(resource_type)[codes[0]].expression.split(" | ")
    path = next(each for each in paths if each.startswith(f"{resource_type}."))
    return _nested(resource_type, path.partition(".where(")[0].split(".")[1:], patient)


def _nested(parent: str, names: list[str], value: dict[str, Any]) -> dict[str, Any]:
    element = next(
        each for each in definitions.structure(parent.split(".")[0]).elements[parent] if each.name == names[0]
    )
    inside = value if len(names) == 1 else _nested(f"{parent}.{names[0]}", names[1:], value)
    key = f"{names[0]}Reference" if element.choice else names[0]
    return {key: [inside] if element.many else inside}
