"""Profiles and extensions that R4 itself publishes, as what each changes of its base.  https://hl7.org/fhir/R4/profilelist.html"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capability.elements import Row, constraint
from capability.package import Definition, definitions

R4 = "4.0.1"
FACTS = ("id", "path", "sliceName", "min", "max", "mustSupport", "contentReference", "maxLength")
VALUES = ("fixed", "pattern", "minValue", "maxValue")
PARTS = {
    "slicing": ("discriminator", "rules", "ordered"),
    "binding": ("strength", "valueSet"),
    "type": ("code", "profile", "targetProfile"),
}


def profiles(package: Path) -> dict[str, Row]:
    """By URL; the examples of the specification that only show how a profile looks are among them."""
    found = definitions(package, "StructureDefinition")
    return {each["url"]: profile(each) for each in found if each.get("derivation") == "constraint"}


def profile(definition: Definition) -> Row:
    elements = definition["differential"]["element"]
    return {
        "url": definition["url"],
        "version": definition.get("version", R4),
        "type": definition["type"],
        "baseDefinition": definition["baseDefinition"],
        "differential": {"element": [element(each) for each in elements]},
    }


def element(found: Definition) -> Row:
    row = {name: value for name, value in found.items() if name in FACTS or is_value(name)}
    for name, facts in PARTS.items():
        if name in found:
            row[name] = facts_of(found[name], facts)
    if "constraint" in found:
        row["constraint"] = [constraint(each) for each in found["constraint"]]
    return row


def is_value(name: str) -> bool:
    return any(name.startswith(each) and name[len(each) : len(each) + 1].isupper() for each in VALUES)


def facts_of(found: Any, facts: tuple[str, ...]) -> Any:
    if isinstance(found, list):
        return [facts_of(each, facts) for each in found]
    return {name: value for name, value in found.items() if name in facts}
