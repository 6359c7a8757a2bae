"""UUIDv7.  RFC 9562 §5.7"""

from __future__ import annotations

import re
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.store.ids import Uuid7, uuid7

SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
NOW = 1_700_000_000_123_456_789


def test_has_version_and_variant() -> None:
    assert SHAPE.match(uuid7())
    assert UUID(uuid7()).version == 7


def test_begins_with_the_millisecond() -> None:
    assert int(Uuid7(lambda: NOW)().replace("-", "")[:12], 16) == NOW // 1_000_000


def test_counts_within_a_millisecond() -> None:
    source = Uuid7(lambda: NOW)
    ids = [source() for _ in range(5_000)]
    assert ids == sorted(set(ids))


@given(st.lists(st.integers(-5, 5), max_size=50))
def test_never_goes_back_when_the_clock_does(steps: list[int]) -> None:
    moments = [NOW]
    for step in steps:
        moments.append(moments[-1] + step * 1_000_000)
    clock = iter(moments)
    source = Uuid7(lambda: next(clock))
    ids = [source() for _ in moments]
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_a_full_counter_borrows_the_next_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Uuid7(lambda: NOW)
    first = source()
    source._counter = 2**42 - 1
    assert source() > first
    assert source._millisecond == NOW // 1_000_000 + 1


def test_two_sources_differ() -> None:
    assert Uuid7(lambda: NOW)() != Uuid7(lambda: NOW)()
