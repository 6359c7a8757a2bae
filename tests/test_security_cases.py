"""Every case of bad input, encryption, isolation and OAuth has a row or a test, or a reason why it has none yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance.tables import cases

FOLDER = Path(__file__).parent
NUMBERS = {"B": 66, "E": 10, "I": 90, "O": 56}
EXPECTED = [f"{letter}{number:02}" for letter, last in NUMBERS.items() for number in range(1, last + 1)]
LISTED: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "security_cases.yaml").read_text())
TITLE = re.compile(r"title: ['\"]?([BEIO]\d\d) ")
NAME = re.compile(r"def test_([beio]\d\d)_")
TITLES = {case.title for case in cases()}


def named() -> set[str]:
    """Cases that a row of any table has in its title, or a test in its name."""
    rows = {found for file in FOLDER.rglob("*.yaml") for found in TITLE.findall(file.read_text())}
    tests = {found.upper() for file in FOLDER.rglob("test_*.py") for found in NAME.findall(file.read_text())}
    return rows | tests


NAMED = named()


@pytest.mark.parametrize("case", EXPECTED)
def test_each_case_is_tried_or_has_a_reason(case: str) -> None:
    assert (case in NAMED) != (case in LISTED), f"{case} is said nowhere or twice"


@pytest.mark.parametrize("case", LISTED)
def test_what_is_listed_is_there(case: str) -> None:
    assert set(case.split("-")) <= set(EXPECTED)
    listed = LISTED[case]
    assert listed.keys() in ({"by"}, {"later"})
    for each in listed.get("by", ()):
        file, _, name = each.partition("::")
        assert f"def {name}(" in (FOLDER.parent / file).read_text() if name else each in TITLES, each
