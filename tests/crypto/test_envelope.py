"""Sealed values open in their own place only, and keys do not show themselves."""

from __future__ import annotations

import copy
import os
import pickle
import traceback
from array import array
from itertools import pairwise
from multiprocessing import get_context

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.crypto.aead import NONCE_BYTES, SealBroken
from fhir_server.crypto.envelope import Place, key_id, seal, unseal
from fhir_server.crypto.secret import Key

RAW = bytes(range(32))
KEY = Key("data/1", RAW)
PLACE = Place("acme", "Patient", "p1", "3")
NONCES = int(os.environ.get("FHIR_TEST_NONCES", "20000"))

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
places = st.builds(Place, *[st.text(max_size=8)] * 4)


@unhurried
@given(st.binary(), places)
def test_what_was_sealed_opens_and_names_its_key(plaintext: bytes, place: Place) -> None:
    blob = seal(KEY, plaintext, place)
    assert unseal(KEY, blob, place) == plaintext
    assert key_id(blob) == "data/1"


@unhurried
@given(places, places)
def test_it_opens_in_no_other_place(one: Place, other: Place) -> None:
    blob = seal(KEY, b"secret", one)
    if one != other:
        with pytest.raises(SealBroken):
            unseal(KEY, blob, other)


@pytest.mark.parametrize("field", Place._fields)
def test_each_part_of_the_place_counts(field: str) -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, b"secret", PLACE), PLACE._replace(**{field: "other"}))


def test_parts_do_not_run_into_each_other() -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, b"secret", Place("ab", "c", "d", "e")), Place("a", "bc", "d", "e"))


def test_every_flipped_bit_breaks_it() -> None:
    blob = seal(KEY, b"secret", PLACE)
    for bit in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBroken):
            unseal(KEY, bytes(changed), PLACE)


def test_every_cut_breaks_it() -> None:
    blob = seal(KEY, b"secret", PLACE)
    for length in range(len(blob)):
        with pytest.raises(SealBroken):
            unseal(KEY, blob[:length], PLACE)


def test_the_id_of_another_key_is_no_way_in() -> None:
    """The same bytes under another name are another key: an old blob cannot be passed off as a new one."""
    blob = seal(KEY, b"secret", PLACE)
    renamed = blob.replace(b"data/1", b"data/2")
    assert key_id(renamed) == "data/2"
    with pytest.raises(SealBroken):
        unseal(Key("data/2", RAW), renamed, PLACE)


@pytest.mark.parametrize(
    "blob", [b"", b"\x01", b'{"resourceType":"Patient"}', b"\x01\x06data", b"\x01\x01\xff" + bytes(40)]
)
def test_what_is_no_sealed_value_names_no_key(blob: bytes) -> None:
    with pytest.raises(SealBroken):
        key_id(blob)


def nonces(count: int) -> array[int]:
    """Eight of the twelve bytes of each: what repeats a nonce repeats these."""
    start = 2 + len(KEY.id)
    assert NONCE_BYTES == 12
    return array("Q", (int.from_bytes(seal(KEY, b"", PLACE)[start : start + 8], "big") for _ in range(count)))


def repeats(found: array[int]) -> int:
    return sum(one == other for one, other in pairwise(sorted(found)))


def test_e10_no_nonce_comes_twice() -> None:
    """NIST SP 800-38D §8.3; `FHIR_TEST_NONCES` asks for more."""
    assert repeats(nonces(NONCES)) == 0


def test_e10_a_fork_repeats_no_nonce() -> None:
    nonces(10)
    with get_context("fork").Pool(2) as pool:
        one, other = pool.map(nonces, [500, 500])
    assert repeats(one + other + nonces(500)) == 0


def test_e08_a_key_shows_itself_to_nobody() -> None:
    secret = Key("data/1", b"SECRET-KEY-BYTES-OF-THIS-TEST-32")
    assert "SECRET" not in f"{secret!r} {secret} {[secret]} {vars(type(secret)).keys()}"
    assert not hasattr(secret, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied"):
            copied(secret)


def test_e08_a_traceback_shows_no_key() -> None:
    secret = Key("data/1", b"SECRET-KEY-BYTES-OF-THIS-TEST-32")
    blob = seal(secret, b"PLAINTEXT", PLACE)
    try:
        unseal(secret, blob[:-1] + b"?", PLACE)
    except SealBroken as problem:
        shown = "".join(traceback.TracebackException.from_exception(problem, capture_locals=True).format())
    assert "Key('data/1')" in shown
    assert "SECRET" not in shown
    assert "PLAINTEXT" not in shown.replace('b"PLAINTEXT"', "")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Key("data/1", bytes(length))
