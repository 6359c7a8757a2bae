"""Decimals through BSON, and resources that BSON cannot say exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import json
from fhir_server.store.codec import DEEPEST, OPTIONS, native


def through(value: Any) -> Any:
    return bson.decode(bson.encode({"v": value}, codec_options=OPTIONS), codec_options=OPTIONS)["v"]


short = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=34),
    st.integers(-6000, 6000),
)


@given(short)
def test_a_decimal_of_34_digits_comes_back_with_its_digits(value: Decimal) -> None:
    back = through(value)
    assert back == value
    assert back.as_tuple().exponent == value.as_tuple().exponent


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_an_index_value_of_any_length_is_stored(value: Decimal) -> None:
    assert isinstance(through(value), Decimal)


@pytest.mark.parametrize("text", ["1.00", "0.10", "1E+3", "1e-7", "-0.0", "100", "0E-10"])
def test_trailing_zeros_are_kept(text: str) -> None:
    assert str(through(Decimal(text))) == str(Decimal(text))


def test_native_form_is_the_same_resource() -> None:
    resource = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.00")}, "b": [True, 1, "ä"]}
    kept = native(resource, json.encode(resource))
    assert kept is not None
    assert bson.decode(kept.raw, codec_options=OPTIONS) == resource


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels - 1):
        inner = {"extension": inner}
    return inner


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param({"value": Decimal("1" * 35)}, id="more than 34 digits"),
        pytest.param({"value": Decimal("1E+9000")}, id="a huge exponent"),
        pytest.param({"value": 2**63}, id="an integer of more than 64 bits"),
        pytest.param({"a\0b": 1}, id="a key with NUL"),
        pytest.param(nested(DEEPEST), id="deep"),
    ],
)
def test_what_bson_cannot_say_is_left_out(resource: dict[str, Any]) -> None:
    assert native(resource, json.encode(resource)) is None


def test_the_deepest_that_fits_is_kept() -> None:
    resource = nested(DEEPEST - 1)
    assert native(resource, json.encode(resource)) is not None
