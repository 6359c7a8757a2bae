"""Cursors: they travel, and open for no one else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.search.page import Position, open_, seal

KEY = bytes(range(32))
values = st.none() | st.text() | st.integers(0, 9) | st.floats(allow_nan=False) | st.datetimes(timezones=st.just(UTC))


@given(st.lists(values, max_size=5), st.binary(max_size=50))
def test_a_position_survives_the_journey(found: list[Any], binding: bytes) -> None:
    position = Position(tuple(found))
    assert open_(seal(position, binding, KEY), binding, KEY) == position


def test_it_tells_nothing() -> None:
    assert "Smith" not in seal(Position(("Smith", "p1")), b"b", KEY)


def broken(cursor: str, binding: bytes = b"binding", key: bytes = KEY, now: datetime | None = None) -> FhirError:
    with pytest.raises(FhirError) as refused:
        open_(cursor, binding, key, now=now)
    assert refused.value.status == 400
    return refused.value


def test_it_is_bound_and_cannot_be_changed() -> None:
    cursor = seal(Position(("a",)), b"binding", KEY)
    flipped = cursor[:-4] + ("A" if cursor[-4] != "A" else "B") + cursor[-3:]
    for error in (
        broken(cursor, b"another binding"),
        broken(cursor, key=bytes(32)),
        broken(flipped),
        broken(cursor[:-5]),
        broken(""),
        broken("ä" * 40),
        broken("!" * 40),
        broken("A" * 100_000),
    ):
        assert error.issues[0].code == "value"


def test_it_grows_old() -> None:
    made = datetime(2024, 6, 1, tzinfo=UTC)
    cursor = seal(Position(("a",)), b"binding", KEY, now=made)
    assert open_(cursor, b"binding", KEY, now=made + timedelta(hours=23)) == Position(("a",))
    assert broken(cursor, now=made + timedelta(hours=25)).issues[0].code == "expired"
