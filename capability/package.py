"""The published FHIR R4 package, read from the folder it was unpacked into.  https://hl7.org/fhir/R4/downloads.html"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Definition = dict[str, Any]


def definitions(package: Path, resource_type: str) -> Iterator[Definition]:
    """Every definition of one type, in the order of its file names so that the tables come out the same each time."""
    for file in sorted(package.glob(f"{resource_type}-*.json")):
        definition: Definition = json.loads(file.read_bytes())
        if definition["resourceType"] == resource_type:
            yield definition


def last_segment(canonical: str) -> str:
    """`http://hl7.org/fhir/StructureDefinition/Patient|4.0.1` names `Patient`."""
    return unversioned(canonical).rsplit("/", 1)[1]


def unversioned(canonical: str) -> str:
    return canonical.partition("|")[0]
