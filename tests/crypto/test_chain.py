"""Chains and trees: what was changed, lost or added shows.  RFC 6962 §2.1"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.crypto import chain, ecdsa
from fhir_server.crypto.chain import START, Entry
from fhir_server.store.keys import _new_signing_key

KEY = bytes(range(32))

bodies = st.lists(st.binary(max_size=40), min_size=1, max_size=12)


def linked(events: list[bytes]) -> list[Entry]:
    entries = [chain.opening("acme", "w", 1)]
    for number, body in enumerate(events):
        entries.append(chain.following(entries[-1], "event", f"e{number}", 1, chain.digest(body), 2 + number))
    return [*entries, chain.ending(entries[-1], 100)]


def first_fault(entries: list[Entry], key: bytes = KEY) -> tuple[int, str] | None:
    before = None
    for place, each in enumerate(entries):
        found = chain.fault(each, chain.code(KEY, each.hash), before, key)
        if found is not None:
            return place, found
        before = each
    return None


@given(bodies)
def test_a_chain_holds(events: list[bytes]) -> None:
    assert first_fault(linked(events)) is None


CHANGES = {
    "tenant": "other",
    "writer": "other",
    "seq": 99,
    "kind": "recovered",
    "event": "another",
    "version": 2,
    "digest": START,
    "at": 5_000,
    "previous": bytes(range(32)),
    "hash": bytes(range(32)),
}


@given(bodies, st.data())
def test_a_change_of_any_field_is_found_where_it_is(events: list[bytes], data: st.DataObject) -> None:
    entries = linked(events)
    place = data.draw(st.integers(1, len(entries) - 2))
    name = data.draw(st.sampled_from(sorted(CHANGES)))
    entries[place] = replace(entries[place], **{name: CHANGES[name]})
    found = first_fault(entries)
    assert found is not None
    assert found[0] == place


@given(bodies, st.data())
def test_what_is_hashed_again_no_longer_fits(events: list[bytes], data: st.DataObject) -> None:
    """Without the key the code is that of what it was before."""
    entries = linked(events)
    place = data.draw(st.integers(1, len(entries) - 2))
    changed = replace(entries[place], digest=chain.digest(b"another"))
    changed = replace(changed, hash=changed.expected)
    assert chain.fault(changed, chain.code(KEY, entries[place].hash), entries[place - 1], KEY)
    entries[place] = changed
    found = first_fault(entries)
    assert found == (place + 1, "it does not follow the entry before it")


@given(bodies, st.data())
def test_what_is_taken_out_swapped_or_doubled_is_missed(events: list[bytes], data: st.DataObject) -> None:
    entries = linked(events)
    place = data.draw(st.integers(1, len(entries) - 2))
    assert first_fault([*entries[:place], *entries[place + 1 :]]) == (place, f"entry {place} is missing")
    assert first_fault([*entries[: place + 1], *entries[place:]]) == (place + 1, "there are two entries of this number")
    assert first_fault([*entries[:place], entries[place + 1], entries[place], *entries[place + 2 :]]) is not None


def test_more_than_one_missing_is_said() -> None:
    entries = linked([b"a", b"b", b"c"])
    assert first_fault([entries[0], entries[3]]) == (1, "entries 1 to 2 are missing")


def test_a_chain_begins_once_and_ends_once() -> None:
    entries = linked([b"a"])
    assert first_fault(entries[1:]) == (0, "entry 0 is missing")
    after = chain.following(entries[-1], "event", "e9", 1, START, 1)
    assert first_fault([*entries, after]) == (len(entries), "it follows the end of its chain")
    stranger = replace(entries[0], kind="event")
    stranger = replace(stranger, hash=stranger.expected)
    assert first_fault([stranger]) == (0, "a chain begins with its opening, and only with that")


@given(bodies)
def test_another_key_has_written_another_chain(events: list[bytes]) -> None:
    assert first_fault(linked(events), START) == (0, "it was not written by this server")


def test_marks_are_of_one_version_of_one_event_of_one_tenant() -> None:
    own = chain.mark(KEY, "acme", "e1", 1, START)
    others = [
        chain.mark(KEY, "acm", "e1", 1, START),
        chain.mark(KEY, "acme", "e2", 1, START),
        chain.mark(KEY, "acme", "e1", 2, START),
        chain.mark(KEY, "acme", "e1", 1, KEY),
        chain.mark(START, "acme", "e1", 1, START),
    ]
    assert not any(chain.same(own, each) for each in others)


leaves = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


@given(leaves, st.data())
def test_every_leaf_is_proven_and_nothing_else(found: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    top, path = chain.root(found), chain.proof(found, place)
    assert len(path) <= (len(found) - 1).bit_length()
    assert chain.proves(path, found[place], place, len(found), top)
    assert not chain.proves(path, found[place] + b"!", place, len(found), top)
    assert not chain.proves(path, found[place], place, len(found), START)
    assert not chain.proves([*path, START], found[place], place, len(found), top)
    assert not chain.proves(path, found[place], len(found), len(found), top)
    if path:
        assert not chain.proves(path[1:], found[place], place, len(found), top)


@given(leaves, st.data())
def test_another_tree_has_another_root(found: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    changed = [*found[:place], found[place] + b"!", *found[place + 1 :]]
    assert chain.root(changed) != chain.root(found)
    assert chain.root([*found, b"more"]) != chain.root(found)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_roots_that_others_have_published(size: int, expected: str) -> None:
    """https://github.com/google/certificate-transparency/blob/master/python/ct/crypto/merkle_test.py"""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    assert chain.root([bytes.fromhex(each) for each in inputs[:size]]).hex() == expected


def test_an_empty_tree_is_the_hash_of_nothing() -> None:
    assert chain.root([]) == sha256(b"").digest()


@given(st.binary(max_size=60), st.integers(0, 95))
def test_a_signature_is_of_one_statement(statement: bytes, place: int) -> None:
    key = SIGNING
    made = ecdsa.signature(key["private"], statement)
    assert len(made) == 96
    assert ecdsa.is_good(key["public"], statement, made)
    assert not ecdsa.is_good(key["public"], statement + b"!", made)
    assert not ecdsa.is_good(OTHER["public"], statement, made)
    assert not ecdsa.is_good(key["public"], statement, made[:place] + bytes([made[place] ^ 1]) + made[place + 1 :])


SIGNING, OTHER = _new_signing_key(), _new_signing_key()


def test_a_key_of_another_kind_signs_nothing() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with pytest.raises(TypeError):
        ecdsa.signature(pem, b"x")
