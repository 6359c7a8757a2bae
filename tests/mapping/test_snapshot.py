from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.crypto.aead import SealBroken
from fhir_server.mapping.identity import Identity, merged_key, natural
from fhir_server.mapping.snapshot import row_hash, row_key, seal, unseal
from fhir_server.mapping.text import normalised, text

KEY = row_key(b"s" * 32)


def test_a_row_comes_back_only_with_the_key_and_from_its_place() -> None:
    sealed = seal(KEY, "acme", "pms.clients", "7", ["id", "name", "born"], (7, "Ann Lee", date(1980, 1, 2)))
    assert b"Ann" not in sealed
    assert unseal(KEY, "acme", "pms.clients", "7", sealed) == {"id": 7, "name": "Ann Lee", "born": "1980-01-02"}
    for args in ((row_key(b"t" * 32), "acme", "7"), (KEY, "beta", "7"), (KEY, "acme", "8")):
        with pytest.raises(SealBroken):
            unseal(args[0], args[1], "pms.clients", args[2], sealed)


VALUES = st.none() | st.text() | st.integers() | st.dates() | st.decimals(allow_nan=False) | st.booleans()


@given(st.lists(VALUES), st.lists(VALUES))
def test_rows_have_the_same_hash_when_they_are_the_same(one: list[object], other: list[object]) -> None:
    assert row_hash("v1", one, {}) == row_hash("v1", list(one), {})
    assert row_hash("v1", one, {}) != row_hash("v2", one, {})
    assert (row_hash("v1", one, {}) == row_hash("v1", other, {})) is (repr(one) == repr(other))


def test_text_is_trimmed_composed_and_without_control_characters() -> None:
    assert text("  e\u0301te\x00\x07\r\nx ") == "éte\nx"
    assert text(" \t ") is None
    assert text(Decimal("1.0")) == "1.0"


@pytest.mark.parametrize(
    "spelling", ["Blue Cross", " BLUE  CROSS ", "Blue-Cross".replace("-", " "), "blue cross.", "Blüe Cross"]
)
def test_spellings_of_a_payer_are_one_key(spelling: str) -> None:
    assert natural(spelling) == "~BLUE CROSS"


def test_claim_numbers_are_never_confused() -> None:
    assert merged_key("1-23") != merged_key("12-3")
    assert normalised("1-23") == normalised("12-3")


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_have_different_ids(one: str, other: str) -> None:
    ids = Identity("https://x.example", "acme")
    assert (ids.of(one.encode(errors="replace").decode()) == ids.of(other.encode(errors="replace").decode())) is (
        one.encode(errors="replace") == other.encode(errors="replace")
    )
