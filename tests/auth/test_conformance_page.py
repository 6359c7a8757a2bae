"""docs/smart-conformance.md leaves no rule out, and names tests that there are."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs/smart-conformance.md").read_text()
ROWS = re.findall(r"^\| ([\d, ]+) \| .+ \| (.+) \|$", PAGE, re.MULTILINE)
TESTS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))

RULES = """
14-18 24 30 31 42 48 49 53 54 56 57 59 73-75 77 78 84-89 94-96 100 101 103 104 109-115 119 123 130 136 139 140 142 144
149 164 168-178 188 194 197 198 200 205 207 209 210 228 231 240 241 247 249-251 253-256 258 259 261 265 266 271-279 282
283 285-289 296 297 305 310 316 335-342 344 348-374 377 378 380-385 393 394 396 398 400 402 403 405 409 410 412 417-419
421 423 430-432 436
"""
"""Those of the list for release 2.2.0 that are a server's and a SHALL; what a capability promises is one too."""


def numbers(text: str) -> list[int]:
    spans = [each.partition("-") for each in text.replace(",", " ").split()]
    return [number for first, _, last in spans for number in range(int(first), int(last or first) + 1)]


def test_every_rule_is_there_once() -> None:
    assert sorted(number for ids, _ in ROWS for number in numbers(ids)) == numbers(RULES)


def test_what_is_shown_by_nothing_is_not_offered() -> None:
    assert [ids.partition(",")[0] for ids, shown in ROWS if shown == "–"] == ["176", "371", "396"]


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_the_test_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / "tests" / file).read_text()
