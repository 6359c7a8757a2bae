"""Sealed values that say which key opens them, bound to the place they were made for.  NIST SP 800-38D

A blob is `version | length of key id | key id | nonce | ciphertext and tag`. What it is bound to is authenticated and
not contained: moved to another tenant, resource or version, under another key id or cut, it does not open.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from fhir_server.crypto.aead import NONCE_BYTES, TAG_BYTES, SealBroken
from fhir_server.crypto.secret import Key

VERSION = 1
SCHEMA = "1"
"""What the plaintext is made like; the next one could not be taken for this."""


class Place(NamedTuple):
    """What a value belongs to: of a resource its type, id and version; other rooms name theirs alike."""

    tenant: str
    kind: str
    name: str
    version: str = ""


def seal(key: Key, plaintext: bytes, place: Place) -> bytes:
    """The nonce is random and never kept by a process, so that a fork repeats none; safe for 2^32 values (§8.3)."""
    nonce = os.urandom(NONCE_BYTES)
    key.uses += 1
    return _header(key.id) + nonce + key.cipher.encrypt(nonce, plaintext, _bound(key.id, place))


def unseal(key: Key, blob: bytes, place: Place) -> bytes:
    """The plaintext, or `SealBroken`."""
    header = _header(key.id)
    if not blob.startswith(header) or len(blob) < len(header) + NONCE_BYTES + TAG_BYTES:
        raise SealBroken("The sealed value is cut, or was sealed with another key.")
    start = len(header) + NONCE_BYTES
    try:
        return key.cipher.decrypt(blob[len(header) : start], blob[start:], _bound(key.id, place))
    except InvalidTag as broken:
        raise SealBroken("The sealed value was changed, or belongs elsewhere.") from broken


def key_id(blob: bytes) -> str:
    """Which key a value was sealed with, before that is known to be true."""
    if len(blob) < 2 or blob[0] != VERSION or len(blob) < 2 + blob[1]:
        raise SealBroken("This is no sealed value.")
    try:
        return blob[2 : 2 + blob[1]].decode("ascii")
    except UnicodeDecodeError as broken:
        raise SealBroken("This is no sealed value.") from broken


def _header(name: str) -> bytes:
    encoded = name.encode("ascii")
    return bytes((VERSION, len(encoded))) + encoded


def _bound(name: str, place: Place) -> bytes:
    """Each part after its length, so that no two places are written the same."""
    parts = [each.encode() for each in (*place, name, SCHEMA)]
    return b"".join([len(each).to_bytes(4, "big") + each for each in parts])
