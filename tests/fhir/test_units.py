"""Units of UCUM, against conversions that are known from elsewhere."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.units import MAX_LENGTH, unit

EQUAL = [
    ("1", "g", "1000", "mg"),
    ("1", "[lb_av]", "0.45359237", "kg"),
    ("760", "mm[Hg]", "101.32472", "kPa"),
    ("37.0", "Cel", "98.6", "[degF]"),
    ("1000", "mCel", "1", "Cel"),
    ("60", "/min", "1", "Hz"),
    ("1", "10*3/uL", "1", "10*9/L"),
    ("1", "10^3/uL", "1", "10*9/L"),
    ("1000", "mmol/L", "1", "mol/L"),
    ("1", "mmol/L", "1", "mol/m3"),
    ("1", "[IU]/mL", "1000", "[iU]/L"),
    ("45", "%", "0.45", "1"),
    ("1", "mg{creat}/dL", "10", "ug/mL"),
    ("1", "kg/m2", "1", "kg.m-2"),
    ("1", "kg/m.s", "1", "(kg/m).s"),
    ("8", "/h/{shift}", "8", "h-1"),
    ("1", "(8.h){shift}", "8", "h"),
    ("1", "100/{cells}", "100", "{cells}"),
    ("1", "dar", "10", "m2"),
    ("1", "dag", "10", "g"),
    ("1", "m[Hg]", "1000", "mm[Hg]"),
    ("10", "dB", "1", "B"),
    ("1", "U/L", "1", "umol/min/L"),
    ("1", "meq/L", "1", "mmol/L"),
]

APART = [
    ("mg/dL", "mmol/L"),
    ("mol/L", "10*9/L"),
    ("[pH]", "mol/L"),
    ("[iU]", "[arb'U]"),
    ("Cel", "{score}"),
    ("B[SPL]", "B"),
    ("m", "m2"),
]

UNKNOWN = ["", "bogus", "Mol", "mg/", "(mg", "mg)", "mg//dL", "mg dL", "Cel/m", "Cel2", "k[lb_av]", "mg{", "{}}", "0"]


@pytest.mark.parametrize(("one", "of", "other", "than"), EQUAL)
def test_equal_values(one: str, of: str, other: str, than: str) -> None:
    first, second = unit(of), unit(than)
    assert first is not None
    assert second is not None
    assert first.dimension == second.dimension
    assert first.to_base(Decimal(one)) == second.to_base(Decimal(other))


@pytest.mark.parametrize(("one", "other"), APART)
def test_different_dimensions(one: str, other: str) -> None:
    first, second = unit(one), unit(other)
    assert first is not None
    assert second is not None
    assert first.dimension != second.dimension


@pytest.mark.parametrize("code", [*UNKNOWN, "m." * MAX_LENGTH + "m"])
def test_what_is_no_unit(code: str) -> None:
    assert unit(code) is None


def test_a_value_beyond_a_double() -> None:
    degrees = unit("Cel")
    assert degrees is not None
    assert degrees.to_base(Decimal("1e999999999")) == math.inf
    assert degrees.to_base(Decimal("-1e999999999")) == -math.inf
    assert degrees.to_base(Decimal("1e-999999999")) == 273.15
    assert degrees.to_base(Decimal("1e308")) == 1e308
    assert unit("Ym").to_base(Decimal("1e300")) == math.inf  # type: ignore[union-attr]


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=20))
def test_any_text_is_a_unit_or_none(code: str) -> None:
    found = unit(code)
    assert found is None or found.factor > 0
