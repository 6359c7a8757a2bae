"""Authenticated encryption: what is changed, or bound to something else, does not open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.crypto.aead import SealBroken, seal, unseal

KEY = bytes(range(32))
keys = st.binary(min_size=32, max_size=32)


@given(keys, st.binary(), st.binary())
def test_what_was_sealed_opens(key: bytes, plaintext: bytes, bound_to: bytes) -> None:
    assert unseal(key, seal(key, plaintext, bound_to), bound_to) == plaintext


@given(st.binary(), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_breaks_it(plaintext: bytes, place: int, flip: int) -> None:
    sealed = bytearray(seal(KEY, plaintext, b"tenant"))
    sealed[place % len(sealed)] ^= flip
    with pytest.raises(SealBroken):
        unseal(KEY, bytes(sealed), b"tenant")


@given(st.integers(0, 40))
def test_a_cut_value_breaks_it(length: int) -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, b"a secret of some length", b"tenant")[:length], b"tenant")


def test_another_key_or_binding_does_not_open_it() -> None:
    sealed = seal(KEY, b"secret", b"tenant")
    with pytest.raises(SealBroken):
        unseal(bytes(32), sealed, b"tenant")
    with pytest.raises(SealBroken):
        unseal(KEY, sealed, b"another tenant")


def test_the_same_value_never_looks_the_same() -> None:
    assert len({seal(KEY, b"secret", b"") for _ in range(100)}) == 100


def test_the_plaintext_cannot_be_seen() -> None:
    assert b"secret" not in seal(KEY, b"secret", b"")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal(bytes(length), b"", b"")
