"""Chunks open in their order, all of them, and only as they were sealed."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.crypto.aead import SealBroken
from fhir_server.crypto.stream import Stream

KEY = bytes(range(32))


def sealed(chunks: list[bytes], key: bytes = KEY, bound_to: bytes = b"header") -> list[bytes]:
    stream = Stream(key, bound_to)
    return [stream.seal(each, last=number == len(chunks) - 1) for number, each in enumerate(chunks)]


def opened(chunks: list[bytes], key: bytes = KEY, bound_to: bytes = b"header") -> list[bytes]:
    stream = Stream(key, bound_to)
    return [stream.open(each, last=number == len(chunks) - 1) for number, each in enumerate(chunks)]


CHUNKS = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@given(CHUNKS)
def test_what_was_sealed_opens(chunks: list[bytes]) -> None:
    assert opened(sealed(chunks)) == chunks


@given(CHUNKS, st.data())
def test_no_other_selection_of_chunks_opens(chunks: list[bytes], data: st.DataObject) -> None:
    """Dropped, moved, repeated, cut off, or all of that."""
    whole = sealed(chunks)
    chosen = data.draw(st.lists(st.sampled_from(range(len(whole))), min_size=1, max_size=8))
    if chosen != list(range(len(whole))):
        with pytest.raises(SealBroken):
            opened([whole[each] for each in chosen])


@given(CHUNKS, st.data())
def test_no_bit_may_change(chunks: list[bytes], data: st.DataObject) -> None:
    whole = sealed(chunks)
    which = data.draw(st.sampled_from(range(len(whole))))
    at = data.draw(st.sampled_from(range(len(whole[which]))))
    whole[which] = whole[which][:at] + bytes([whole[which][at] ^ 1]) + whole[which][at + 1 :]
    with pytest.raises(SealBroken):
        opened(whole)


def test_key_and_header_belong_to_it() -> None:
    whole = sealed([b"a", b"b"])
    for key, bound_to in ((os.urandom(32), b"header"), (KEY, b"another header")):
        with pytest.raises(SealBroken):
            opened(whole, key, bound_to)


def test_equal_chunks_do_not_look_alike() -> None:
    assert len(set(sealed([b"same"] * 100))) == 100
