"""The table of the definition of $lastn: which codes are one group."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.fhir.version import Version
from fhir_server.interactions.operations.latest import Row, newest


def a_row(name: str, codes: set[Any], day: int | None) -> Row:
    moment = None if day is None else datetime(2024, 1, day, tzinfo=UTC)
    return Row(
        Version("t", "Observation", name, 1, datetime(2024, 1, 1, tzinfo=UTC), "PUT", b""), moment, frozenset(codes)
    )


@pytest.mark.parametrize(
    ("codes", "groups"),
    [
        (({"a"}, {"b"}, {"c"}), 3),
        (({"a"}, {"b"}, {"a", "c"}), 2),
        (({"a"}, {"b"}, {"a", "b"}), 1),
        (({"textM"}, {"Text"}, {"t e x t"}), 3),
        (({"a", "b"}, {"c", "d"}, {"b", "c"}), 1),
    ],
)
def test_groups(codes: tuple[set[str], ...], groups: int) -> None:
    rows = [a_row(str(number), each, 20 - number) for number, each in enumerate(codes)]
    assert len(newest(rows, 1)) == groups


def test_what_took_place_together_comes_together() -> None:
    rows = [a_row(name, {"a"}, day) for name, day in (("1", 9), ("2", 8), ("3", 8), ("4", 8), ("5", 7))]
    assert [each.resource_id for each in newest(rows, 2)] == ["1", "2", "3", "4"]
    assert [each.resource_id for each in newest(rows, 1)] == ["1"]


def test_without_a_time_nothing_is_a_tie() -> None:
    rows = [a_row(name, {"a"}, None) for name in "123"]
    assert [each.resource_id for each in newest(rows, 2)] == ["1", "2"]
