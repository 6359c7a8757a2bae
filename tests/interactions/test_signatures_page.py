"""docs/signatures.md names tests that there are, and tables that are those of the server."""

from __future__ import annotations

import re

import pytest

from fhir_server.fhir.attestation import MEANINGS
from fhir_server.fhir.finality import FINALITIES
from tests.conftest import ROOT

PAGE = (ROOT / "docs/signatures.md").read_text()
RULES = re.findall(r"^\| (11\.[\w().]+) ", PAGE, re.MULTILINE)
ROWS = re.findall(r"^\| 11\..*\| (.+) \|$", PAGE, re.MULTILINE)
TESTS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
EXPECTED = """
11.10(a) 11.10(c) 11.10(e) 11.10(g) 11.50(a)(1) 11.50(a)(2) 11.50(a)(3) 11.50(b) 11.70 11.100(a) 11.200(a)(1)
11.200(a)(1)(i) 11.200(a)(1)(ii) 11.200(a)(2) 11.300(a) 11.300(b) 11.300(c) 11.300(d)
"""


def test_every_rule_is_there_once_with_a_test() -> None:
    assert EXPECTED.split() == RULES
    assert len(ROWS) == len(RULES)
    assert all("::" in each for each in ROWS)


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_the_test_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def test_the_meanings_are_those_of_the_server() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `meaning`"))
    assert {each.code for each in MEANINGS.values()} == set(re.findall(r"`([a-z]+)`", row)) - {"meaning"}


def test_the_table_of_statuses_is_that_of_the_server() -> None:
    written = {}
    for types, element, final, amended in re.findall(
        r"^\| ([A-Z][\w, ]+) \| `(\w+)` \| (`.+`) \| `(\w+)` \|$", PAGE, re.MULTILINE
    ):
        for name in types.split(", "):
            written[name] = (element, {*re.findall(r"`(.+?)`", final), amended}, amended)
    assert written == {name: (each.element, each.final, each.amended) for name, each in FINALITIES.items()}
