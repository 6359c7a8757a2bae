"""Rebuild `units.json` from the published table of UCUM: `python -m capability.units ucum-essence.xml`.

It keeps of each unit what conversion needs: whether it takes prefixes, and its value in terms of another unit.
https://ucum.org/ucum
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

TARGET = Path(__file__).parent / "units.json"
NOTICE = (
    "This table is derived from the UCUM table, UCUM codes and UCUM definitions, subject to a license from Regenstrief "
    "Institute, Inc. and The UCUM Organization. Your use of them is also subject to this license: https://ucum.org/license"
)

OFFSETS = {"Cel": "273.15", "degF": "459.67", "degRe": "218.52"}
"""What is added to a value before it is multiplied, of the special units that are a line; others are curves."""

OWN = ("mol",)
"""Kept apart though UCUM defines it as a number: an amount of substance would else be found as a count of cells."""

Row = list[str]


def table(essence: Path) -> dict[str, object]:
    """Units with no value in terms of another are dimensions of their own: base units, arbitrary ones, curves."""
    root = ElementTree.parse(essence).getroot()  # noqa: S314 - a file that the maintainer names
    prefixes = {each.attrib["Code"]: _child(each, "value").attrib["value"] for each in root.findall("{*}prefix")}
    base = {each.attrib["Code"]: ["metric"] for each in root.findall("{*}base-unit")}
    units = {each.attrib["Code"]: _row(each) for each in root.findall("{*}unit")}
    return {"copyright": NOTICE, "version": root.attrib["version"], "prefixes": prefixes, "units": {**base, **units}}


def _row(unit: ElementTree.Element) -> Row:
    metric = "metric" if unit.attrib["isMetric"] == "yes" else ""
    value = _child(unit, "value")
    if unit.attrib["Code"] in OWN or (unit.attrib.get("isArbitrary") == "yes" and value.attrib["Unit"] == "1"):
        return [metric]
    function = value.find("{*}function")
    if function is None:
        return [metric, value.attrib["value"], value.attrib["Unit"]]
    offset = OFFSETS.get(function.attrib["name"])
    return [metric, function.attrib["value"], function.attrib["Unit"], offset] if offset else [metric]


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = element.find(f"{{*}}{name}")
    assert found is not None, f"{element.attrib} has no {name}"
    return found


def main(essence: Path) -> None:
    rows = json.dumps(table(essence), ensure_ascii=False, separators=(",", ":"))
    TARGET.write_text(rows.replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
