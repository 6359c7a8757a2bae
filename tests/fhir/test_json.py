"""JSON in and out: the refusals at the edge, and that nothing else is lost."""

from __future__ import annotations

import json as standard
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from tests.fhir.tables import cases

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
NUMBERS = st.decimals(-(10**20), 10**20, allow_nan=False).filter(lambda each: len(each.as_tuple().digits) <= 34)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBERS | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def exact(raw: bytes) -> Any:
    """The JSON as Python's own reader has it, each number by its digits."""
    return standard.loads(raw, parse_float=lambda text: Decimal(text).as_tuple(), parse_int=str)


@pytest.mark.parametrize("case", cases("json.yaml"))
def test_a_body_that_is_refused(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["hex"]) if "hex" in case else case["raw"].encode()
    with pytest.raises(FhirError) as refused:
        json.parse(raw)
    [issue] = refused.value.issues
    assert (refused.value.status, issue.code) == (400, case["code"])
    assert str(case.get("says", "")) in issue.diagnostics
    assert issue.expression == ((case["at"],) if "at" in case else ())


@pytest.mark.parametrize("depth", [65, 1_000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_nesting_has_a_limit(depth: int, brackets: str) -> None:
    start = '{"a":' if brackets == "{}" else "["
    raw = start * depth + "1" + brackets[1] * depth
    with pytest.raises(FhirError, match="nested more than 64 levels"):
        json.parse(raw.encode())


def test_nesting_up_to_the_limit_is_taken() -> None:
    assert json.parse(b'{"a":' * 64 + b"1" + b"}" * 64)


def test_an_integer_without_end_is_refused() -> None:
    with pytest.raises(FhirError) as refused:
        json.parse(b'{"a":' + b"1" * 5000 + b"}")
    assert refused.value.issues[0].code == "value"


@pytest.mark.parametrize("text", ["1.00", "0.10", "-0.0", "1E+3", "1.5E-7", "0.00000", "123456789012345678.90"])
def test_a_decimal_keeps_its_digits(text: str) -> None:
    raw = b'{"value":%s}' % text.encode()
    assert json.encode(json.parse(raw)) == raw
    assert json.encode(json.trusted(raw)) == raw


@pytest.mark.parametrize("text", ["1E3", "1e-7", "1e+3", "1.0e2", "0e0"])
def test_an_exponent_written_another_way_is_the_same_number(text: str) -> None:
    written = json.encode(json.parse(b'{"value":%s}' % text.encode()))
    assert exact(written)["value"] in (Decimal(text).as_tuple(), str(Decimal(text)))


def test_the_order_of_elements_is_kept() -> None:
    raw = b'{"z":1,"a":{"y":[],"b":"x"},"resourceType":"Patient"}'
    assert json.encode(json.parse(raw)) == raw


def test_escapes_are_read_and_written_plainly() -> None:
    assert json.parse(b'{"text":"\\u00e9\\ud83d\\ude00\\/\\t\\\\u0000"}') == {"text": "é😀/\t\\u0000"}


def test_pretty_touches_no_number() -> None:
    assert json.pretty(b'{"a":1.00,"b":[1E+3]}') == b'{\n  "a": 1.00,\n  "b": [\n    1E+3\n  ]\n}'


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    raw = json.encode(value)
    assert json.parse(raw) == value
    assert exact(json.encode(json.parse(raw))) == exact(raw)


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.booleans())
def test_however_it_is_spaced_and_escaped(value: dict[str, Any], ascii_only: bool) -> None:
    spaced = standard.dumps(standard.loads(json.encode(value)), indent=1, ensure_ascii=ascii_only)
    assert json.parse(spaced.encode()) == json.trusted(spaced.encode())
