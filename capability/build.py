"""Rebuild the tables of this folder from the published R4 package: `python -m capability.build PACKAGE_DIR`.

The package is `hl7.fhir.r4.examples@4.0.1`, CC0. The tables hold its facts (elements, parameters, compartments,
operations, codes), not its prose.  https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from capability import elements, shipped
from capability.elements import Row
from capability.package import Definition, definitions
from capability.profiles import profiles
from capability.terminology import Codings, NotEnumerable, Terminology

HERE = Path(__file__).parent
STATED_TWICE = {"example": "stated again as Resource-id", "example-reference": "stated again as Condition-subject"}
EXAMPLE = "http://example.org/"
PARAMETER_FACTS = ("code", "type", "expression", "base", "target", "url", "multipleOr", "multipleAnd")
OPERATION_FACTS = ("code", "url", "name", "affectsState", "resource", "system", "type", "instance")
INPUT_FACTS = ("name", "use", "min", "max", "type", "searchType", "targetProfile")


def search_parameters(package: Path) -> tuple[list[Row], Row]:
    """The parameters that can be evaluated, and the reason for each that cannot."""
    kept, left_out = [], {}
    for each in definitions(package, "SearchParameter"):
        reason = unusable(each)
        if reason:
            left_out[each["id"]] = reason
        else:
            kept.append(search_parameter(each))
    return sorted(kept, key=lambda row: (row["base"], row["code"])), left_out


def unusable(parameter: Definition) -> str | None:
    if parameter["id"] in STATED_TWICE:
        return STATED_TWICE[parameter["id"]]
    if "expression" not in parameter:
        return "has no expression"
    return "is about an example extension" if EXAMPLE in parameter["expression"] else None


def search_parameter(parameter: Definition) -> Row:
    row = {name: parameter[name] for name in PARAMETER_FACTS if name in parameter}
    row["targets"] = row.pop("target", [])
    if "component" in parameter:
        row["component"] = [
            {"url": each["definition"], "expression": each["expression"]} for each in parameter["component"]
        ]
    return row


def compartments(package: Path) -> Row:
    """For each compartment the parameters that put a resource in it; `{def}` is the resource itself."""
    return {
        each["code"]: {entry["code"]: entry["param"] for entry in each["resource"] if "param" in entry}
        for each in definitions(package, "CompartmentDefinition")
        if each["id"] != "example"
    }


def operations(package: Path) -> list[Row]:
    return [operation(each) for each in definitions(package, "OperationDefinition") if each["id"] != "example"]


def operation(definition: Definition) -> Row:
    row = {name: definition[name] for name in OPERATION_FACTS if name in definition}
    row["id"] = definition["id"]
    row["parameters"] = [operation_parameter(each) for each in definition.get("parameter", [])]
    return row


def operation_parameter(parameter: Definition) -> Row:
    row: Row = {name: parameter[name] for name in INPUT_FACTS if name in parameter}
    if "part" in parameter:
        row["part"] = [operation_parameter(each) for each in parameter["part"]]
    return row


def value_sets(package: Path, required: set[str]) -> tuple[Row, Row, Row]:
    """Value sets that required bindings use, all others, and the reason for each that cannot be written out."""
    terminology = Terminology.of(package)
    bound: Row = {}
    others: Row = {}
    left_out: Row = {}
    for url in sorted(terminology.value_sets):
        try:
            codings = by_system(terminology.expand(url))
        except NotEnumerable as reason:
            left_out[url] = str(reason)
        else:
            (bound if url in required else others)[url] = codings
    return bound, others, left_out


def by_system(codings: Codings) -> dict[str, list[str]]:
    systems = defaultdict(list)
    for system, code in sorted(codings):
        systems[system].append(code)
    return dict(systems)


def required_value_sets(tables: Iterable[Row]) -> set[str]:
    rows = [row for table in tables for group in table["elements"].values() for row in group]
    return {row["binding"][1] for row in rows if row.get("binding", ("",))[0] == "required"}


def write(name: str, lines: Iterable[str], brackets: str) -> int:
    """A JSON file with one fact per line, so that a change of the package reads well as a difference."""
    text = f"{brackets[0]}\n" + ",\n".join(lines) + f"\n{brackets[1]}\n"
    (HERE / name).write_text(text, encoding="utf-8")
    return len(text.encode())


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_list(name: str, rows: list[Row]) -> int:
    return write(name, map(compact, rows), "[]")


def write_object(name: str, members: Row) -> int:
    return write(name, (f"{compact(key)}:{compact(value)}" for key, value in members.items()), "{}")


def write_structures(tables: dict[str, Row]) -> int:
    folder = HERE / "structures"
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("*.json"):
        stale.unlink()
    return sum(write(f"structures/{name}.json", structure_lines(table), "{}") for name, table in tables.items())


def structure_lines(table: Row) -> Iterable[str]:
    """The facts of a structure, and of its elements one line per group of siblings."""
    *facts, (last, groups) = table.items()
    yield from (f"{compact(name)}:{compact(value)}" for name, value in facts)
    yield f"{compact(last)}:{{" + ",".join(f"\n{compact(path)}:{compact(rows)}" for path, rows in groups.items()) + "}"


def main(package: Path) -> None:
    tables = elements.tables(package)
    parameters, unusable_parameters = search_parameters(package)
    bound, others, not_enumerable = value_sets(package, required_value_sets(tables.values()))
    kinds = {name: [table["kind"], table["abstract"]] for name, table in tables.items()}
    left_out = {"search parameters": unusable_parameters, "value sets": not_enumerable}
    published = profiles(package)
    report = [
        ("structures/", len(tables), write_structures(tables)),
        ("profiles.json", len(published), write_object("profiles.json", published)),
        ("structures.json", len(kinds), write_object("structures.json", kinds)),
        ("search_parameters.json", len(parameters), write_list("search_parameters.json", parameters)),
        ("compartments.json", 5, write_object("compartments.json", compartments(package))),
        ("operations.json", 46, write_list("operations.json", operations(package))),
        ("required_codes.json", len(bound), write_object("required_codes.json", bound)),
        ("value_sets.json", len(others), write_object("value_sets.json", others)),
        ("terminology.zip", *shipped.write(package, HERE / "terminology.zip")),
        ("left_out.json", sum(map(len, left_out.values())), write_object("left_out.json", left_out)),
    ]
    for name, count, size in report:
        print(f"{name:24}{count:6} entries {size:10,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
