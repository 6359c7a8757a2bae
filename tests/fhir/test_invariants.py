"""The predicates of constraints, by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.fhir.definitions import kinds, structure
from fhir_server.fhir.invariants import PREDICATES, predicate

TABLE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("invariants.yaml").read_text(encoding="utf-8"))

ELSEWHERE = {"ele-1", "ref-1", "txt-1", "txt-2"}
"""Checked by the walk itself, `references` and `narrative`."""

ORDERED = """sdf-1 sdf-3 sdf-8 sdf-8a sdf-8b sdf-9 sdf-10 sdf-11 sdf-14 sdf-15 sdf-15a sdf-16 sdf-17""".split()  # noqa: SIM905
PUBLISHED = ("sdf-19", "sdf-20", "sdf-21", "sdf-22", "sdf-23")
NOT_CHECKED = {
    "ctm-1": "needs the member that the reference is to",
    "eld-11": "holds of everything with a type",
    "eld-19": "the names of elements in logical models",
    "ig-2": "compares with versions of FHIR that the guide states",
    "inv-1": "two rules share the key; both are checked under their paths",
    "inv-2": "checked under its path",
    "ppc-2": "names a code system that does not exist",
    "ppc-3": "names a code system that does not exist",
    "ppc-4": "names a code system that does not exist",
    "ppc-5": "names a code system that does not exist",
    **dict.fromkeys(ORDERED, "the order and the ids of the elements of a definition"),
    **dict.fromkeys(PUBLISHED, "what FHIR's own definitions may say"),
}


@pytest.mark.parametrize("key", TABLE)
def test_what_keeps_and_what_breaks_a_rule(key: str) -> None:
    rule = PREDICATES[key]
    assert rule(TABLE[key]["keeps"], {})
    assert not rule(TABLE[key]["breaks"], {})


def stated() -> dict[str, set[str]]:
    """The paths at which R4 states each rule of severity error."""
    found: dict[str, set[str]] = {"sqty-1": {"SimpleQuantity"}}
    for name in kinds():
        for each in structure(name).constraints:
            if each.severity == "error":
                found.setdefault(each.key, set()).add(name)
        for element in (each for group in structure(name).elements.values() for each in group):
            for each in element.constraints:
                if each.severity == "error":
                    found.setdefault(each.key, set()).add(element.path)
    return found


def test_every_rule_is_checked_or_left_out_for_a_reason() -> None:
    checked = {key for key in PREDICATES if " " not in key}
    assert stated().keys() == checked | ELSEWHERE | NOT_CHECKED.keys()
    assert checked.isdisjoint(ELSEWHERE | NOT_CHECKED.keys())


def test_rules_under_a_path_are_stated_there() -> None:
    for path, _, key in (each.partition(" ") for each in PREDICATES if " " in each):
        assert path in stated()[key]
        assert predicate(path, key) is PREDICATES[f"{path} {key}"]
    assert predicate("Patient", "inv-1") is None
