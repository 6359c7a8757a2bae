"""Canonical JSON.  https://hl7.org/fhir/R4/json.html#canonical"""

from __future__ import annotations

import json as plain
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.crypto.canonical import DATA, FULL, NARRATIVE, STATIC, canonical, encoded
from fhir_server.fhir import json

METHODS = {"full": FULL, "data": DATA, "static": STATIC, "narrative": NARRATIVE}
VECTORS = yaml.safe_load((Path(__file__).parent / "canonical.yaml").read_text())["cases"]

DECIMALS = st.from_regex(r"-?(0|[1-9][0-9]{0,8})\.[0-9]{1,8}", fullmatch=True).map(Decimal)
TEXTS = st.text('aZ_0 /."\\\n\u00e9\u20ac\U0001f600\ufb01', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | DECIMALS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=6)


@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case in VECTORS for name in METHODS if name in case],
    ids=lambda each: str(each)[:40],
)
def test_vectors(case: dict[str, str], name: str) -> None:
    assert canonical(json.parse(case["json"].encode()), METHODS[name]).decode() == case[name]


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        names = list(value)
        random.shuffle(names)
        return {name: shuffled(value[name]) for name in names}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_the_order_of_properties_does_not_matter(value: dict[str, Any]) -> None:
    assert encoded(shuffled(value)) == encoded(value)


@given(OBJECTS)
def test_whitespace_does_not_matter(value: dict[str, Any]) -> None:
    assert encoded(json.trusted(json.pretty(json.encode(value)))) == encoded(value)


@given(OBJECTS)
def test_it_is_its_own_canonical_form_and_says_the_same(value: dict[str, Any]) -> None:
    once = encoded(value)
    assert encoded(json.trusted(once)) == once
    assert json.trusted(once) == value


@given(OBJECTS, OBJECTS)
def test_what_differs_has_different_bytes(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (encoded(one) == encoded(other)) == (_lexical(one) == _lexical(other))


def _lexical(value: Any) -> str:
    """Decimals by their digits: 1.0 is not 1.00."""
    return plain.dumps(value, sort_keys=True, default=lambda each: f"decimal {each}")
