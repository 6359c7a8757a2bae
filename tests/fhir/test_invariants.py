"""The predicates of constraints, by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.fhir.definitions import kinds, structure
from fhir_server.fhir.invariants import BEYOND, PREDICATES, predicate

TABLE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("invariants.yaml").read_text(encoding="utf-8"))

ELSEWHERE = {"ele-1", "ref-1", "txt-1", "txt-2"}
"""Checked by the walk itself, `references` and `narrative`."""

NOT_CHECKED = {
    "eld-11": "as published it holds of everything: a list of false values is there, too",
    "inv-1": "two rules share the key; both are checked under their paths",
    "inv-2": "checked under its path",
}


@pytest.mark.parametrize("key", TABLE)
def test_what_keeps_and_what_breaks_a_rule(key: str) -> None:
    rule = PREDICATES[key]
    assert rule(TABLE[key]["keeps"], {})
    assert not rule(TABLE[key]["breaks"], {})


def stated() -> dict[str, set[str]]:
    """The paths at which R4 states each rule."""
    found: dict[str, set[str]] = {"sqty-1": {"SimpleQuantity"}}
    for name in kinds():
        for each in structure(name).constraints:
            found.setdefault(each.key, set()).add(name)
        for element in (each for group in structure(name).elements.values() for each in group):
            for each in element.constraints:
                found.setdefault(each.key, set()).add(element.path)
    return found


def test_every_rule_is_checked_or_left_out_for_a_reason() -> None:
    checked = {key for key in PREDICATES if " " not in key}
    beyond = {each.key for rules in BEYOND.values() for each in rules}
    assert stated().keys() | beyond == checked | ELSEWHERE | NOT_CHECKED.keys()
    assert checked.isdisjoint(ELSEWHERE | NOT_CHECKED.keys())


def test_rules_under_a_path_are_stated_there() -> None:
    for path, _, key in (each.partition(" ") for each in PREDICATES if " " in each):
        assert path in stated()[key]
        assert predicate(path, key) is PREDICATES[f"{path} {key}"]
    assert predicate("Patient", "inv-1") is None
