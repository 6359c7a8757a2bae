"""StructureDefinitions as rows: what an element is called, holds, and how often.  https://hl7.org/fhir/R4/structuredefinition.html"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capability.package import Definition, definitions, last_segment, unversioned

Row = dict[str, Any]

SYSTEM = "http://hl7.org/fhirpath/System."
LOGICAL_ID = "Resource.id"
SIMPLE_QUANTITY = Row(
    key="sqty-1",
    severity="error",
    human="The comparator is not used on a SimpleQuantity",
    expression="comparator.empty()",
)
"""The one profile that R4 puts on its own elements. https://hl7.org/fhir/R4/datatypes.html#SimpleQuantity"""


def tables(package: Path) -> dict[str, Row]:
    """One table per data type and resource type, abstract ones included, by name."""
    return {each["id"]: table(each) for each in definitions(package, "StructureDefinition") if is_type(each)}


def is_type(definition: Definition) -> bool:
    return definition.get("derivation") != "constraint" and definition["kind"] != "logical"


def table(definition: Definition) -> Row:
    name = definition["id"]
    root, *rest = definition["snapshot"]["element"]
    found: Row = {"name": name, "kind": definition["kind"], "abstract": definition["abstract"]}
    if "baseDefinition" in definition:
        found["base"] = last_segment(definition["baseDefinition"])
    found["constraints"] = [constraint(each) for each in root.get("constraint", []) if is_own(each, definition)]
    found["elements"] = grouped([each for each in rest if each["max"] != "0"], definition)
    return found


def grouped(elements: list[Definition], definition: Definition) -> dict[str, list[Row]]:
    """Children in order under the path of their parent."""
    groups: dict[str, list[Row]] = {}
    for element in elements:
        parent = element["path"].rpartition(".")[0]
        groups.setdefault(parent, []).append(row(element, definition))
    return groups


def row(element: Definition, definition: Definition) -> Row:
    """An element; what equals the default (0..1, no binding, not in summaries, no modifier) is left out."""
    types = element.get("type", [])
    found: Row = {
        "name": element["path"].rpartition(".")[2],
        "types": [type_name(each, element) for each in types],
        "min": element["min"],
        "max": element["max"] if element["max"] != "1" else None,
        "plain": any(each["code"].startswith(SYSTEM) for each in types),
        "binding": binding(element),
        "targets": targets(types),
        "content": element.get("contentReference", "").removeprefix("#"),
        "summary": element.get("isSummary", False),
        "modifier": element.get("isModifier", False),
        "constraints": constraints(element, definition),
    }
    return {name: value for name, value in found.items() if value}


def type_name(found: Definition, element: Definition) -> str:
    """The FHIR type; ids and Extension.url are typed with FHIRPath's String and say theirs in an extension."""
    code: str = found["code"]
    if element["base"]["path"] == LOGICAL_ID:
        return "id"
    if not code.startswith(SYSTEM):
        return code
    stated = [each["valueUrl"] for each in found.get("extension", []) if each["url"].endswith("-fhir-type")]
    return stated[0] if stated else code.removeprefix(SYSTEM).lower()


def binding(element: Definition) -> list[str] | None:
    bound = element.get("binding", {})
    return [bound["strength"], unversioned(bound["valueSet"])] if "valueSet" in bound else None


def targets(types: list[Definition]) -> list[str]:
    """Resource types that a Reference may point to; `Resource` (any) is no limit and is left out."""
    found = {
        last_segment(url) for each in types if each["code"] == "Reference" for url in each.get("targetProfile", [])
    }
    return [] if "Resource" in found else sorted(found)


def constraints(element: Definition, definition: Definition) -> list[Row]:
    own = [constraint(each) for each in element.get("constraint", []) if is_own(each, definition)]
    profiles = [profile for each in element.get("type", []) for profile in each.get("profile", [])]
    return [*own, SIMPLE_QUANTITY] if any(last_segment(each) == "SimpleQuantity" for each in profiles) else own


def is_own(found: Definition, definition: Definition) -> bool:
    """Whether the constraint is stated here; one with another source stands in the table of its base or its type."""
    return "source" not in found or last_segment(found["source"]) == definition["id"]


def constraint(found: Definition) -> Row:
    return {name: found[name] for name in ("key", "severity", "human", "expression") if name in found}
